package aggregator_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"fairwatt/aggregator"
	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/peerpb"
	"fairwatt/proto/seal"
)

// keeper forwards no block of another.
type keeper struct {
	aggregator.Link
	self string
}

func (k *keeper) Send(to string, frame []byte) {
	f := &peerpb.Frame{}
	if proto.Unmarshal(frame, f) == nil && f.GetRelay() != nil {
		if origin, _, err := seal.Peek(f.GetRelay().GetSeal()); err == nil && origin != k.self {
			return
		}
	}
	k.Link.Send(to, frame)
}

// TestReportsMoveTheTree: aggregators report on each other by themselves, so that one
// that forwards nothing is no forwarder any more, and its standing names the report.
// A restarted one goes on.
func TestReportsMoveTheTree(t *testing.T) {
	g := testGenesis()
	g.Params.EpochBlocks = 60
	first, err := ledger.NewState(g)
	if err != nil {
		t.Fatal(err)
	}
	_, children, err := first.FirstTree()
	if err != nil {
		t.Fatal(err)
	}
	dropper := ""
	for id := range children {
		if id != first.Order()[0] {
			dropper = id
		}
	}
	w := newTown(t, g)
	w.link = func(id string, l aggregator.Link) aggregator.Link {
		if id == dropper {
			return &keeper{l, id}
		}
		return l
	}
	w.startAll()
	seller := w.device("seller-1", "site-seller-1")
	busy := func(until func() bool) {
		t.Helper()
		for deadline := time.Now().Add(3 * time.Minute); !until(); {
			if time.Now().After(deadline) {
				t.Fatalf("too late: %+v", why(t, w, dropper))
			}
			applied(t, "offer", seller.send(&fairwattpb.Record{Body: &fairwattpb.Record_Offer{Offer: &fairwattpb.Offer{
				OfferId: fmt.Sprint("o-", seller.counter), VolumeWh: 5000, PriceMicroPerKwh: 150_000, ExpiresMs: time.Now().Add(time.Hour).UnixMilli()}}}))
		}
	}
	var now *ledger.Standing
	busy(func() bool {
		now = why(t, w, dropper)
		return len(now.Disputes) > 0
	})
	t.Logf("%s fell in epoch %d", dropper, now.Epoch)
	// On a slow machine it may have led before, and earned by blocks of its own.
	if s := now.Steps[0]; s.AfterE4 >= s.BeforeE4 || s.Cause != "dispute" || s.RecordHeight == 0 || s.RecordHeight > s.Height {
		t.Errorf("%+v", now)
	}
	accuser := now.Disputes[0].With
	if !slices.Contains(children[dropper], accuser) && accuser == "" {
		t.Errorf("accused by %s, its children were %v", accuser, children[dropper])
	}
	// Everyone comes to the same standing, and the edge is gone.
	busy(func() bool {
		return !slices.ContainsFunc(g.DAs(), func(da ledger.DA) bool { return w.da(da.ID).State().Epoch() <= now.Epoch })
	})
	for _, da := range g.DAs() {
		for _, p := range mustWhy(t, w, da.ID, dropper).Peers {
			if p.DA == accuser && p.TreeUs <= g.Params.WThreUs {
				t.Errorf("%s still counts %d us for the edge", da.ID, p.TreeUs)
			}
			if p.Theirs == nil || p.Theirs.OverheadUs == 0 {
				t.Errorf("%s has no measure by %s", da.ID, p.DA)
			}
		}
	}
	// The page says the same, with the edges of the running view: when an epoch begins those of
	// the one before stand there for a moment.
	busy(func() bool {
		shown, ok := w.da("da-1").Standing(dropper)
		return ok && shown.TrustE4 == why(t, w, dropper).TrustE4 && !slices.Contains(shown.Children, accuser)
	})
	for _, node := range w.da("da-1").Snapshot().Tree.Nodes {
		if node.ID == dropper && (node.EarnedE4 == 0 || node.Why == "" || node.WhyHeight == 0 || node.Disputes == 0) {
			t.Errorf("the page: %+v", node)
		}
	}
	if _, ok := w.da("da-1").Standing("da-9"); ok {
		t.Error("the page knows a stranger")
	}
	w.halt("da-2")
	w.start("da-2")
	epoch := why(t, w, "da-1").Epoch
	busy(func() bool {
		s := mustWhy(t, w, "da-1", "da-2")
		return s.Epoch > epoch+1 && s.Peers[0].Own != nil && s.Peers[0].Own.Epoch > epoch
	})
}

// TestReportsComeToRest: where each block is an epoch, a report ends one, and that alone
// is no reason to report again.
func TestReportsComeToRest(t *testing.T) {
	g := testGenesis()
	g.Params.EpochBlocks = 1
	w := newTown(t, g)
	w.startAll()
	seller := w.device("seller-1", "site-seller-1")
	applied(t, "gate", seller.send(seller.gate(1, fairwattpb.GateState_GATE_STATE_BLOCKED)))
	reported := func() (n int) {
		for _, da := range g.DAs() {
			if _, newest, err := w.da("da-1").State().Reporting(da.ID); err == nil && newest > 0 {
				n++
			}
		}
		return n
	}
	for deadline := time.Now().Add(2 * time.Minute); reported() < 4; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d of 4 have reported", reported())
		}
	}
	for height, since := uint64(0), time.Now(); time.Since(since) < 2*time.Second; time.Sleep(50 * time.Millisecond) {
		if now := w.da("da-1").State().Height(); now != height {
			height, since = now, time.Now()
			if now > 400 { // without an end
				t.Fatalf("%d blocks of one record, and no rest", now)
			}
		}
	}
}

func why(t *testing.T, w *town, about string) *ledger.Standing { return mustWhy(t, w, "da-1", about) }

func mustWhy(t *testing.T, w *town, at, about string) *ledger.Standing {
	t.Helper()
	s, ok := w.da(at).State().Why(about)
	if !ok {
		t.Fatalf("%s does not know %s", at, about)
	}
	return s
}

// TestFalseReportFallsBack: an aggregator that accuses all others in its report is found
// out by that report, as all see it; its own program's true report comes too late.
func TestFalseReportFallsBack(t *testing.T) {
	g := testGenesis()
	g.Params.EpochBlocks = 20
	w := newTown(t, g)
	w.startAll()
	seller := w.device("seller-1", "site-seller-1")
	body := &fairwattpb.Report{Epoch: 1}
	for _, da := range g.DAs() {
		if da.ID != "da-3" {
			body.Seen = append(body.Seen, &fairwattpb.Seen{Da: da.ID, Missed: 50})
		}
	}
	payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(&fairwattpb.Record{
		ChainId: w.chain[:], Sender: "da-3", Counter: 1, TimeMs: time.Now().UnixMilli(), Body: &fairwattpb.Record_Report{Report: body},
	})
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := seal.Seal(ledgertest.Key("da-3"), "da-3", seal.DomainRecord, w.chain, payload)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.da("da-1").Submit(t.Context(), sealed); err != nil {
		t.Fatal(err)
	}
	for seq := uint64(1); why(t, w, "da-1").Epoch < 2; seq++ {
		applied(t, "gate", seller.send(seller.gate(seq, fairwattpb.GateState_GATE_STATE_BLOCKED)))
	}
	for _, da := range g.DAs() {
		s := why(t, w, da.ID)
		if liar := da.ID == "da-3"; s.Condemned != liar || (s.TrustE4 < s.ThresholdE4) != liar || liar && s.Steps[0].Record != idOf(sealed) {
			t.Errorf("%+v", s)
		}
	}
}
