package main

import (
	"context"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"aggregator": func() { os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireExplicitExec: true})
}

func TestParseMoney(t *testing.T) {
	for text, want := range map[string]int64{"1": 1_000_000, "25.50": 25_500_000, "0.000001": 1, "999999999999.999999": 999_999_999_999_999_999} {
		if got, err := parseMoney(text); err != nil || got != want {
			t.Errorf("parseMoney(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "0", "0.0", "-1", "+1", "1.", ".5", "1.0000001", "1e3", "1,5", "1.2.3", "1000000000000", " 1", "١"} {
		if got, err := parseMoney(text); err == nil {
			t.Errorf("parseMoney(%q) = %d", text, got)
		}
	}
}
