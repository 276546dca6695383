package nnet_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"fairwatt/model/nnet"
)

// The manual lists a rule for each kind that the shipped network scores, and
// for no other.
func TestManualHasShippedKinds(t *testing.T) {
	n, err := nnet.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	page, err := os.ReadFile("../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for line := range strings.Lines(string(page)) {
		if name, ok := strings.CutPrefix(line, "| M-"); ok {
			kind, _, _ := strings.Cut(name, " ")
			got = append(got, kind)
		}
	}
	for _, k := range n.Kinds() {
		want = append(want, k.String())
	}
	slices.Sort(want)
	if len(want) == 0 || !slices.Equal(got, want) {
		t.Errorf("the manual has rules for %v, the network scores %v", got, want)
	}
}
