package ledger_test

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"

	"pgregory.net/rapid"
)

func report(epoch uint64, seen ...*fairwattpb.Seen) *fairwattpb.Record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Report{Report: &fairwattpb.Report{Epoch: epoch, Seen: seen}}}
}

func saw(da string, taken, late, missed, given uint32) *fairwattpb.Seen {
	return &fairwattpb.Seen{Da: da, Taken: taken, Late: late, Missed: missed, Given: given}
}

// council is a chain of data aggregators whose epochs are one block each, with all
// reports of the epoch.
type council struct {
	*world
	ids     []string
	reports map[string]map[string]*fairwattpb.Seen
	links   map[string]uint32 // that each says to have; 0: as the genesis says

	height   uint64 // of the tree below
	parent   map[string]string
	children map[string][]string
}

func newCouncil(t testing.TB, das int, change func(*ledger.Genesis)) *council {
	w := newWorldOf(t, das, func(g *ledger.Genesis) {
		g.Params.EpochBlocks = 1
		if change != nil {
			change(g)
		}
	})
	c := &council{world: w, reports: map[string]map[string]*fairwattpb.Seen{}, links: map[string]uint32{}}
	for _, da := range w.Genesis.DAs() {
		c.ids = append(c.ids, da.ID)
	}
	return c
}

// says adds to what a data aggregator reports of another in this epoch.
func (c *council) says(da, of string) *fairwattpb.Seen {
	if c.reports[da] == nil {
		c.reports[da] = map[string]*fairwattpb.Seen{}
	}
	if c.reports[da][of] == nil {
		c.reports[da][of] = &fairwattpb.Seen{Da: of}
	}
	return c.reports[da][of]
}

// forwards books blocks from parent to child as both ends truly see them.
func (c *council) forwards(parent, child string, blocks, dropped uint32) {
	c.says(parent, child).Given += blocks - dropped
	s := c.says(child, parent)
	s.Taken += blocks - dropped
	s.Missed += dropped
}

// all lets everyone report, also those who saw nothing.
func (c *council) all(but ...string) {
	for _, id := range c.ids {
		if c.reports[id] == nil && !slices.Contains(but, id) {
			c.reports[id] = map[string]*fairwattpb.Seen{}
		}
	}
}

// end ends the epoch with the reports in it.
func (c *council) end() {
	c.t.Helper()
	var sealed [][]byte
	for _, id := range slices.Sorted(maps.Keys(c.reports)) {
		r := report(c.State.Epoch())
		r.GetReport().Links = c.links[id]
		for _, of := range slices.Sorted(maps.Keys(c.reports[id])) {
			r.GetReport().Seen = append(r.GetReport().Seen, c.reports[id][of])
		}
		b, err := c.Seal(id, r)
		if err != nil {
			c.t.Fatal(err)
		}
		sealed = append(sealed, b)
	}
	c.reports = map[string]map[string]*fairwattpb.Seen{}
	st, err := c.Advance(sealed...)
	if err != nil {
		c.t.Fatal(err)
	}
	for i, o := range st.Outcomes() {
		if !o.GetApplied() {
			c.t.Fatalf("report %d: %v", i, o)
		}
	}
	// Who forwards on probation is the same for those who ask why and for the links.
	probes := map[string]string{}
	for _, id := range c.ids {
		if w, _ := c.State.Why(id); w.ProbationTo != "" {
			probes[id] = w.ProbationTo
		}
	}
	if got := c.State.Probes(); !maps.Equal(got, probes) {
		c.t.Fatalf("probes %v, want %v", got, probes)
	}
}

func (c *council) why(da string) *ledger.Standing {
	c.t.Helper()
	w, ok := c.State.Why(da)
	if !ok {
		c.t.Fatalf("no %s", da)
	}
	if c.parent == nil || c.height != w.Height {
		var err error
		if c.parent, c.children, err = c.State.FirstTree(); err != nil {
			c.t.Fatal(err)
		}
		c.height = w.Height
	}
	w.Parent, w.Children = c.parent[da], c.children[da]
	return w
}

// A forwarder that drops falls within two epochs, in trust and in the tree, and the
// chain has the reports that it fell by. Those who reported it have their trust back.
func TestDroppingForwarderFalls(t *testing.T) {
	for _, tree := range []string{"oct", "wct"} {
		t.Run(tree, func(t *testing.T) {
			c := newCouncil(t, 4, func(g *ledger.Genesis) { g.Params.Tree = tree })
			dropper := ""
			for _, id := range c.ids[1:] {
				if len(c.why(id).Children) > 0 {
					dropper = id
				}
			}
			first := c.why(dropper)
			accuser := first.Children[0]
			var story []*ledger.Standing
			for range 2 {
				for _, id := range c.ids {
					w := c.why(id)
					for _, to := range append(slices.Clone(w.Children), w.ProbationTo) {
						dropped := uint32(0)
						if id == dropper {
							dropped = 10
						}
						if to != "" {
							c.forwards(id, to, 10, dropped)
						}
					}
				}
				c.all()
				c.end()
				story = append(story, c.why(dropper))
			}
			one := story[0]
			if s := one.Steps[0]; one.TrustE4 >= first.TrustE4 || one.Place <= first.Place || slices.Contains(one.Children, accuser) ||
				s.Cause != "dispute" || s.Other != accuser || s.RecordHeight != 1 || len(s.Record) != 64 {
				t.Errorf("after an epoch: %+v, was %+v", one, first)
			}
			// It and its accuser are on probation then, which decides between them.
			k := slices.IndexFunc(story, func(w *ledger.Standing) bool { return w.Condemned })
			if k != 1 {
				t.Fatalf("found out after %d epochs: %+v", k+1, story)
			}
			now := story[k]
			if now.TrustE4 >= now.ThresholdE4 || now.Steps[0].Cause != "condemned" || now.Steps[0].RecordHeight != uint64(k+1) || now.Place != 3 || len(now.Children) > 0 {
				t.Errorf("found out after %d epochs: %+v", k+1, now)
			}
			for _, id := range c.ids {
				if w := c.why(id); id != dropper && (w.TrustE4 < w.GenesisE4 || w.Condemned) {
					t.Errorf("%s is honest: %+v", id, w)
				}
			}
		})
	}
}

// An honest newcomer that the genesis does not trust is put on probation, earns trust
// by it, and is trusted in the end. One that forwards nothing is not.
func TestNewcomerRises(t *testing.T) {
	for _, honest := range []bool{true, false} {
		c := newCouncil(t, 4, func(g *ledger.Genesis) { g.Aggregators[3].TrustE4 = 5000 })
		last := c.why("da-4").TrustE4
		epochs := 0
		for ; epochs < 40 && c.why("da-4").TrustE4 < 8000; epochs++ {
			if to := c.why("da-4").ProbationTo; to != "" {
				dropped := uint32(0)
				if !honest {
					dropped = 10
				}
				c.forwards("da-4", to, 10, dropped)
			}
			c.all()
			c.end()
			now := c.why("da-4").TrustE4
			if honest && epochs > 0 && now <= last && now < 8000 {
				t.Fatalf("epoch %d: trust %d, was %d: %+v", epochs, now, last, c.why("da-4"))
			}
			last = now
		}
		if w := c.why("da-4"); honest != (w.TrustE4 >= 8000) || honest && (epochs > 12 || w.TreeTrustE4 < 8000 || w.RebuiltReason != "threshold") {
			t.Errorf("honest %v: after %d epochs %+v", honest, epochs, w)
		}
	}
}

// Whatever f liars report, of whom and how often, no honest aggregator falls below
// the threshold or is condemned, and the overheads of edges between honest ones are what these
// have measured. Forwarders among the liars drop as they like.
func TestLiarsMoveNobodyBelowTheThreshold(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.SampledFrom([]int{4, 4, 7}).Draw(rt, "n")
		c := newCouncil(t, n, func(g *ledger.Genesis) {
			g.Params.Tree = rapid.SampledFrom([]string{"oct", "wct"}).Draw(rt, "tree")
			for i := range g.Aggregators {
				g.Aggregators[i].TrustE4 = rapid.Int64Range(8000, 10_000).Draw(rt, "trust")
				g.Aggregators[i].Links = rapid.IntRange(1, 3).Draw(rt, "links")
			}
		})
		liars := map[string]bool{}
		for _, id := range rapid.Permutation(c.ids).Draw(rt, "liars")[:wire.Faulty(n)] {
			liars[id] = true
		}
		number := rapid.Uint32Range(0, 20)
		for range rapid.IntRange(1, 5).Draw(rt, "epochs") {
			for _, parent := range c.ids {
				w := c.why(parent)
				for _, child := range append(w.Children, w.ProbationTo) {
					if child == "" {
						continue
					}
					dropped := uint32(0)
					if liars[parent] {
						dropped = number.Draw(rt, "dropped")
					}
					c.forwards(parent, child, 20, dropped)
				}
			}
			for _, da := range c.ids {
				for _, of := range c.ids {
					switch {
					case da == of:
					case !liars[da]:
						c.says(da, of).OverheadUs = 1500
					case rapid.Bool().Draw(rt, "speaks"):
						*c.says(da, of) = fairwattpb.Seen{Da: of, Taken: number.Draw(rt, "taken"), Late: number.Draw(rt, "late"), Missed: number.Draw(rt, "missed"), Given: number.Draw(rt, "given"), OverheadUs: rapid.Uint32Range(0, 60_000_000).Draw(rt, "us")}
					}
				}
			}
			for da := range liars {
				if rapid.IntRange(0, 3).Draw(rt, "silent") == 0 {
					delete(c.reports, da)
				}
			}
			c.end()
			for _, da := range c.ids {
				w := c.why(da)
				if liars[da] {
					continue
				}
				if w.TrustE4 < w.ThresholdE4 || w.Condemned {
					rt.Fatalf("%s is honest (the liars are %v): %+v", da, liars, w)
				}
				for _, p := range w.Peers {
					if !liars[p.DA] && p.TreeUs != 1000 && p.TreeUs != 1280 && !slices.ContainsFunc(w.Disputes, func(d ledger.Dispute) bool { return d.With == p.DA }) { // of the genesis, or measured
						rt.Fatalf("%s to %s: %d us", da, p.DA, p.TreeUs)
					}
				}
			}
		}
		// A state that is loaded anew says the same.
		again, err := ledger.Restore(c.Genesis, c.State.Height(), c.State.HeaderHash(), c.State.Entries())
		if err != nil || again.Root() != c.State.Root() || !slices.Equal(again.Order(), c.State.Order()) {
			rt.Fatalf("restored: %v", err)
		}
	})
}

// One who accuses everyone is found out by that, and the accused have no harm of it.
func TestAccuserOfAllFalls(t *testing.T) {
	c := newCouncil(t, 7, nil)
	for _, id := range c.ids[1:] {
		c.says("da-1", id).Missed = 10
	}
	c.all()
	c.end()
	if w := c.why("da-1"); !w.Condemned || w.TrustE4 >= w.ThresholdE4 || w.Place != 6 {
		t.Errorf("the accuser: %+v", w)
	}
	for _, id := range c.ids[1:] {
		if w := c.why(id); w.TrustE4 != w.GenesisE4 || w.Condemned {
			t.Errorf("accused: %+v", w)
		}
	}
}

// What is no dispute: blocks that are late, or a few that are lost. What earns nothing:
// forwarding that one end alone tells of.
func TestWhatIsNoDispute(t *testing.T) {
	c := newCouncil(t, 4, nil)
	c.says("da-2", "da-1").Late = 10
	*c.says("da-3", "da-1") = *saw("da-1", 9, 0, 3, 0)
	*c.says("da-4", "da-1") = *saw("da-1", 0, 0, 2, 0)
	*c.says("da-1", "da-2") = *saw("da-2", 0, 0, 0, 50)
	*c.says("da-2", "da-4") = *saw("da-4", 50, 0, 0, 0)
	c.all()
	c.end()
	for id, disputes := range map[string]int{"da-1": 1, "da-2": 0, "da-3": 1, "da-4": 0} { // 3 of 12 are a quarter
		if w := c.why(id); len(w.Disputes) != disputes || w.GoodE4 != 0 {
			t.Errorf("%s: %+v", id, w)
		}
	}
	*c.says("da-3", "da-2") = *saw("da-2", 10, 0, 3, 0) // 3 of 13 are less
	c.all()
	c.end()
	if w := c.why("da-2"); len(w.Disputes) != 0 {
		t.Errorf("3 of 13: %+v", w)
	}
}

// Disputes are forgotten, and so is what was earned, by epochs on which a quorum has
// reported and by no others.
func TestForgetting(t *testing.T) {
	c := newCouncil(t, 4, nil)
	c.forwards("da-1", "da-2", 10, 0)
	c.forwards("da-3", "da-4", 10, 10)
	c.all()
	c.end()
	for range 5 {
		c.says("da-2", "da-1").OverheadUs = 5
		c.end()
	}
	if w, d := c.why("da-1"), c.why("da-3"); w.GoodE4 != 10_000 || d.Disputes[0].EpochsLeft != 32 || d.TrustE4 != 8400 {
		t.Fatalf("one liar's reports made others forget: %+v, %+v", w, d)
	}
	for range 31 {
		c.all()
		c.end()
	}
	if w, d := c.why("da-1"), c.why("da-3"); w.GoodE4 > 2000 || len(d.Disputes) != 1 || d.TrustE4 != 8500 || d.Peers[2].TreeUs <= 8000 {
		t.Fatalf("after 31 epochs: %+v, %+v", w, d)
	}
	c.all()
	c.end()
	if d := c.why("da-3"); len(d.Disputes) != 0 || d.Peers[2].TreeUs != 1000 || d.RebuiltReason != "edges" {
		t.Errorf("after 32 epochs: %+v", d)
	}
}

// Who falls silent while others report loses its place as a forwarder, and has it back
// when it reports again.
func TestSilentOneIsALeaf(t *testing.T) {
	c := newCouncil(t, 4, nil)
	silent := ""
	for _, id := range c.ids[1:] {
		if len(c.why(id).Children) > 0 {
			silent = id
		}
	}
	for range 3 {
		c.all(silent)
		c.end()
	}
	if w := c.why(silent); len(w.Children) > 0 || w.Peers[0].TreeUs != 8001 || w.SilentEpochs != 3 {
		t.Errorf("%+v", w)
	}
	// Nobody is to send to it where another way is left, nor it to anybody.
	ways := func(touching, others int64) {
		t.Helper()
		for _, da := range c.ids {
			for _, p := range c.why(da).Peers {
				want := others
				if da == silent || p.DA == silent {
					want = touching
				}
				if p.TreeUs != want {
					t.Errorf("%s to %s, %s is silent: %d us, want %d", da, p.DA, silent, p.TreeUs, want)
				}
			}
		}
	}
	ways(8001, 1000)
	c.all()
	c.end()
	if w := c.why(silent); w.Peers[0].TreeUs != 1000 || w.SilentEpochs != 0 {
		t.Errorf("%+v", w)
	}
	ways(1000, 1000)
}

// A tree follows overheads when that gains enough, and links at once.
func TestTreeFollowsWhatIsMeasured(t *testing.T) {
	c := newCouncil(t, 7, nil)
	measure := func(us func(a, b int) uint32) {
		for i, a := range c.ids {
			for j, b := range c.ids {
				if i != j {
					c.says(a, b).OverheadUs = us(i, j)
				}
			}
		}
		c.end()
	}
	for range 8 {
		measure(func(_, _ int) uint32 { return 1000 })
	}
	base := c.why("da-1")
	for range 8 {
		measure(func(_, _ int) uint32 { return 1050 }) // within a step
	}
	if w := c.why("da-1"); w.RebuiltHeight != base.RebuiltHeight {
		t.Errorf("rebuilt for 5 %%: %+v", w)
	}
	far := func(a, b int) uint32 {
		if a+b == 1 { // the root and its neighbour
			return 7000
		}
		return 1000
	}
	for range 8 { // the chain smooths what is measured
		measure(far)
	}
	if w := c.why("da-1"); w.RebuiltHeight != 24 || w.RebuiltReason != "time" || slices.Contains(w.Children, "da-2") {
		t.Errorf("%+v", w)
	}
	r := report(c.State.Epoch())
	r.GetReport().Links = 1
	b, err := c.Seal("da-1", r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Advance(b); err != nil {
		t.Fatal(err)
	}
	if w := c.why("da-1"); w.Links != 1 || w.GenesisLinks != 2 || len(w.Children) > 1 || w.RebuiltReason != "links" {
		t.Errorf("%+v", w)
	}
}

// A damaged entry stops a block with the entry's name, and nothing panics.
func TestDamagedTrust(t *testing.T) {
	w := newWorld(t, func(g *ledger.Genesis) { g.Params.EpochBlocks = 1 })
	for _, key := range []string{"report/da-2", "trust/da-2", "tree/da-2"} {
		s, err := ledger.Restore(w.Genesis, 0, w.State.ChainID(), append(w.State.Entries(), ledger.Entry{Key: []byte(key), Value: []byte("damaged")}))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Build(w.Fields(), nil); err == nil {
			t.Errorf("a block was built on a damaged %s", key)
		}
		if _, ok := s.Why("da-2"); !ok {
			t.Error("no word of da-2")
		}
		if _, _, err := s.Reporting("da-2"); (err != nil) != (key == "report/da-2") {
			t.Errorf("%s: %v", key, err)
		}
	}
	if _, ok := w.State.Why("da-9"); ok {
		t.Error("a word of a stranger")
	}
}

// A tree's entry with overheads to more aggregators than there are, as a larger chain has
// it, counts for nothing: the genesis speaks for that one.
func TestTreeOfALargerChain(t *testing.T) {
	large, small := newCouncil(t, 7, nil), newCouncil(t, 4, nil)
	large.says("da-2", "da-1").OverheadUs = 7000
	large.says("da-1", "da-2").OverheadUs = 7000
	large.says("da-2", "da-3").Missed = 10
	large.all()
	large.end()
	entries := large.State.Entries()
	k := slices.IndexFunc(entries, func(e ledger.Entry) bool { return string(e.Key) == "tree/da-2" })
	if k < 0 {
		t.Fatal("the larger chain keeps no tree of da-2")
	}
	s, err := ledger.Restore(small.Genesis, 0, small.State.ChainID(), append(small.State.Entries(), entries[k]))
	if err != nil {
		t.Fatal(err)
	}
	want, _ := small.State.Network()
	if got, _ := s.Network(); !reflect.DeepEqual(got, want) {
		t.Errorf("the network is %+v, want %+v", got, want)
	}
	if _, _, err := s.Build(small.Fields(), nil); err != nil {
		t.Error(err)
	}
}

// Of what the two ends of an edge measured the greater counts: who understates one is
// not believed, and who overstates makes edges of its own dearer alone.
func TestGreaterOverheadCounts(t *testing.T) {
	c := newCouncil(t, 4, nil)
	for range 8 {
		c.says("da-1", "da-2").OverheadUs = 10
		c.says("da-2", "da-1").OverheadUs = 7000
		c.says("da-3", "da-4").OverheadUs = 9000
		c.says("da-3", "da-1").OverheadUs = 20
		c.all()
		c.end()
	}
	for _, p := range []struct {
		a, b string
		us   int64
	}{{"da-1", "da-2", 6144}, {"da-2", "da-1", 6144}, {"da-3", "da-4", 8192}, {"da-4", "da-3", 8192}, {"da-1", "da-3", 20}, {"da-1", "da-4", 1000}} {
		for _, peer := range c.why(p.a).Peers {
			if peer.DA == p.b && peer.TreeUs != p.us {
				t.Errorf("%s to %s: %d us, want %d", p.a, p.b, peer.TreeUs, p.us)
			}
		}
	}
}

// A chain that was made before there was a choice has none of all this in its state: its
// roots are what they were.
func TestFixedTrustLeavesNoTrace(t *testing.T) {
	c := newCouncil(t, 4, func(g *ledger.Genesis) { g.Params.Trust = ledger.TrustFixed })
	order := c.State.Order()
	for range 9 {
		c.end()
	}
	for _, e := range c.State.Entries() {
		for _, prefix := range []string{"report/", "trust/", "tree/", "rebuilt"} {
			if strings.HasPrefix(string(e.Key), prefix) {
				t.Errorf("an entry %q", e.Key)
			}
		}
	}
	if w := c.why("da-2"); w.Rules != "genesis" || w.TrustE4 != w.GenesisE4 || !slices.Equal(c.State.Order(), order) {
		t.Errorf("%+v, order %v", w, c.State.Order())
	}
}
