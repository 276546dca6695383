package ledger_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// A falsehood is how one liar reports, epoch after epoch.
type falsehood struct {
	name string
	// says is what it reports of another.
	says func(r *rand.Rand, of string, seen *fairwattpb.Seen)
	// falls tells whether it is found out by what it says.
	falls bool
}

var falsehoods = []falsehood{
	{"accuses all", func(r *rand.Rand, _ string, s *fairwattpb.Seen) { s.Taken, s.Missed = 0, 10+r.Uint32N(1000) }, true},
	{"accuses one", func(r *rand.Rand, of string, s *fairwattpb.Seen) {
		if of == "da-1" {
			s.Taken, s.Missed = 0, 20
		}
	}, false},
	{"makes up overheads", func(r *rand.Rand, _ string, s *fairwattpb.Seen) { s.OverheadUs = 1 + r.Uint32N(60_000_000) }, false},
	{"praises itself", func(_ *rand.Rand, _ string, s *fairwattpb.Seen) { s.Given, s.OverheadUs = 1_000_000, 1 }, false},
	{"praises all", func(_ *rand.Rand, _ string, s *fairwattpb.Seen) { s.Taken, s.Late, s.Missed = 1_000_000, 0, 0 }, false},
	{"made-up numbers", func(r *rand.Rand, of string, s *fairwattpb.Seen) {
		*s = fairwattpb.Seen{Da: of, Taken: r.Uint32N(30), Late: r.Uint32N(30), Missed: r.Uint32N(30), Given: r.Uint32N(30), OverheadUs: r.Uint32N(1 << 20)}
	}, false},
}

// TestFalseReports: up to f members that report made-up blocks, disputes, overheads and
// links bring no honest member below the threshold and change nothing between honest
// ones: their overheads are what they measured, their links what they said, and no
// liar that accuses more than f others stands before an honest member. Whoever does
// that has fallen in the end. A seed names what was drawn; more of them:
//
//	FAIRWATT_SEEDS=1000 go test -run TestFalseReports ./aggregator/ledger
func TestFalseReports(t *testing.T) {
	seeds := uint64(60)
	if text := os.Getenv("FAIRWATT_SEEDS"); text != "" {
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			t.Fatalf("FAIRWATT_SEEDS: %v", err)
		}
		seeds = n
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 45))
		n := []int{4, 4, 7}[seed%3]
		c := newCouncil(t, n, nil)
		lies, said := map[string]falsehood{}, ""
		for _, k := range r.Perm(n)[:wire.Faulty(n)] {
			lie := falsehoods[r.IntN(len(falsehoods))]
			lies[c.ids[k]] = lie
			said += fmt.Sprintf(" %s %s;", c.ids[k], lie.name)
		}
		for epoch := range 4 {
			c.epochOfLies(r, lies)
			for _, da := range c.ids {
				if _, lies := lies[da]; lies {
					continue
				}
				w := c.why(da)
				if w.TrustE4 < w.ThresholdE4 || w.Condemned || w.Links != w.GenesisLinks {
					t.Fatalf("seed %d, epoch %d:%s honest %s: %+v", seed, epoch, said, da, w)
				}
				for _, p := range w.Peers {
					if _, lies := lies[p.DA]; !lies && p.TreeUs != 1000 && p.TreeUs != 1280 { // as the genesis says, or as they measured
						t.Fatalf("seed %d, epoch %d:%s %s to %s, both honest: %d us", seed, epoch, said, da, p.DA, p.TreeUs)
					}
				}
			}
			c.fallenStandLast(t, lies, fmt.Sprintf("seed %d, epoch %d:%s", seed, epoch, said))
		}
		for da, lie := range lies {
			if w := c.why(da); lie.falls && (!w.Condemned || w.TrustE4 >= w.ThresholdE4) {
				t.Fatalf("seed %d:%s %s has not fallen: %+v", seed, said, da, w)
			}
		}
	}
}

// epochOfLies lets all forward as the tree says and report: the liars as they do.
func (c *council) epochOfLies(r *rand.Rand, lies map[string]falsehood) {
	for _, parent := range c.ids {
		w := c.why(parent)
		for _, child := range append(slices.Clone(w.Children), w.ProbationTo) {
			if child != "" {
				c.forwards(parent, child, 20, 0)
			}
		}
	}
	for _, da := range c.ids {
		for _, of := range c.ids {
			if da == of {
				continue
			}
			seen := c.says(da, of)
			seen.OverheadUs = 1500
			if lie, lies := lies[da]; lies {
				lie.says(r, of, seen)
				c.links[da] = r.Uint32N(64)
			}
		}
	}
	c.end()
}

// fallenStandLast: no honest member stands behind one that was condemned.
func (c *council) fallenStandLast(t *testing.T, lies map[string]falsehood, when string) {
	t.Helper()
	fallen := ""
	for _, da := range c.State.Order() {
		_, lies := lies[da]
		if w := c.why(da); lies && w.Condemned && w.TreeTrustE4 < w.ThresholdE4 {
			fallen = da
		} else if !lies && fallen != "" {
			t.Fatalf("%s honest %s stands behind %s: %v", when, da, fallen, c.State.Order())
		}
	}
}
