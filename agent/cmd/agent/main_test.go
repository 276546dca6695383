package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// asAgent makes the test binary be the agent: the tests that kill it need a
// process.
const asAgent = "FAIRWATT_TEST_AS_AGENT"

func TestMain(m *testing.M) {
	if os.Getenv(asAgent) != "" {
		os.Exit(program())
	}
	testscript.Main(m, map[string]func(){"agent": func() { os.Exit(program()) }})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata"})
}
