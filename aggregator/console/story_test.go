package console

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The page has words of its own for every kind of step and of money's move that the ledger
// tells.
func TestThePageSaysEveryStep(t *testing.T) {
	history, err := os.ReadFile("../ledger/history.go")
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("static/story.js")
	if err != nil {
		t.Fatal(err)
	}
	for kind, list := range map[string]string{"Step": "stepSays", "Move": "moveSays"} {
		_, rest, found := strings.Cut(string(script), "const "+list+" = {")
		words, _, ends := strings.Cut(rest, "\n};")
		if !found || !ends {
			t.Fatalf("no %s in story.js", list)
		}
		kinds := regexp.MustCompile(`(?m)^\t`+kind+`\w+ += "(\w+)"`).FindAllStringSubmatch(string(history), -1)
		if len(kinds) < 10 {
			t.Fatalf("read %d kinds of %s", len(kinds), kind)
		}
		for _, k := range kinds {
			if !regexp.MustCompile(`\b` + k[1] + `: `).MatchString(words) {
				t.Errorf("%s has no words for %q", list, k[1])
			}
		}
	}
}
