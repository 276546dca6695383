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

// A block under way is waited for until it is decided, asked for, or given up.
func TestInFlightWaits(t *testing.T) {
	f := &InFlight{}
	for n, c := range []struct {
		line string
		want uint64
	}{
		{"something else", 0}, {signGivesUp, 0}, {signInFlight, 1}, {"something else", 1}, {signTells, 1}, {signHeard, 0},
		{signInFlight, 2}, {signAsksSync, 2}, {signHeardToo, 0}, {signInFlight, 3}, {signInFlight, 4}, {signGivesUp, 0}, {signHeard, 0},
	} {
		f.Note(c.line)
		if got := f.Waits(); got != c.want {
			t.Errorf("line %d, %q: waits for %d, want %d", n+1, c.line, got, c.want)
		}
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
