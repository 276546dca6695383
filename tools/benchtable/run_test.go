package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Every part that fails is named, and the table is still written. Nothing is built
// here, so that all of them fail.
func TestFailedPartsAreNamedAndHideNothing(t *testing.T) {
	t.Chdir(t.TempDir())
	out := filepath.Join(t.TempDir(), "bench.json")
	err := run(t.Context(), plan{suites: []suite{{pkg: "./none", bench: "X", benchtime: "1x"}}, idle: time.Second}, out)
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range []string{"./none", "idle for 1s: ", "replay: ", "sizes: "} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not named in: %v", part, err)
		}
	}
	if _, err := os.Stat(out); err != nil {
		t.Error(err)
	}
}
