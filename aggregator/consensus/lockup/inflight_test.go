package lockup

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go/build"
)

// Both wait for each other when the view changer has given up and the view speaks, in
// whichever order, and in no other case.
func TestInFlight(t *testing.T) {
	for name, tc := range map[string]struct {
		lines  []string
		seized int // the line at which it is, from 1; 0: never
	}{
		"decided in time":              {[]string{signInFlight, signTells, signHeard}, 0},
		"given up, no decision":        {[]string{signInFlight, signGivesUp}, 0},
		"given up while it delivers":   {[]string{signInFlight, signTells, signGivesUp}, 3},
		"given up, then it delivers":   {[]string{signInFlight, signGivesUp, signTells}, 3},
		"given up while it asks":       {[]string{signInFlight, signAsksSync, signGivesUp}, 3},
		"asked in time":                {[]string{signInFlight, signAsksSync, signHeardToo, signInFlight, signGivesUp}, 0},
		"the next one starts anew":     {[]string{signInFlight, signGivesUp, signInFlight, signTells, signHeard}, 0},
		"heard, then the next gave up": {[]string{signInFlight, signTells, signHeard, signInFlight, signGivesUp}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			f, at := &InFlight{}, 0
			for k, line := range tc.lines {
				f.Note("something else")
				if f.Note(line) && at == 0 {
					at = k + 1
				}
			}
			if at != tc.seized {
				t.Errorf("seized at line %d, want %d", at, tc.seized)
			}
		})
	}
}

// The library that is built in logs these very lines.
func TestSignsOfInFlight(t *testing.T) {
	pkg, err := build.Import("github.com/hyperledger-labs/SmartBFT/pkg/consensus", ".", build.FindOnly)
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join(pkg.Dir, "..", "..", "internal", "bft", "viewchanger.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, sign := range []string{signInFlight, signGivesUp, signTells, signAsksSync, signHeard, signHeardToo} {
		if strings.Count(string(source), `"`+sign+`"`) != 1 {
			t.Errorf("the library does not log %q once", sign)
		}
	}
}
