package console

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"fairwatt/proto/fairwattpb"
)

// The page has words of its own for every kind of record, and of step and of money's move that
// the ledger tells.
func TestThePageSaysEveryStep(t *testing.T) {
	history, err := os.ReadFile("../ledger/history.go")
	if err != nil {
		t.Fatal(err)
	}
	kinds := make(map[string][]string)
	for _, k := range regexp.MustCompile(`(?m)^\t(Step|Move)\w+ += "(\w+)"`).FindAllStringSubmatch(string(history), -1) {
		kinds[k[1]] = append(kinds[k[1]], k[2])
	}
	bodies := (&fairwattpb.Record{}).ProtoReflect().Descriptor().Oneofs().ByName("body").Fields()
	for i := range bodies.Len() {
		kinds["Record"] = append(kinds["Record"], string(bodies.Get(i).Name()))
	}
	script, err := os.ReadFile("static/story.js")
	if err != nil {
		t.Fatal(err)
	}
	for kind, list := range map[string]string{"Record": "recordSays", "Step": "stepSays", "Move": "moveSays"} {
		_, rest, found := strings.Cut(string(script), "const "+list+" = {")
		words, _, ends := strings.Cut(rest, "\n};")
		if !found || !ends {
			t.Fatalf("no %s in story.js", list)
		}
		if len(kinds[kind]) < 10 {
			t.Fatalf("read %d kinds of %s", len(kinds[kind]), kind)
		}
		for _, k := range kinds[kind] {
			if !regexp.MustCompile(`\b` + k + `: `).MatchString(words) {
				t.Errorf("%s has no words for %q", list, k)
			}
		}
	}
}
