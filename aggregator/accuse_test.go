package aggregator_test

import (
	"crypto/sha256"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"fairwatt/aggregator"
	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/peerpb"
	"fairwatt/proto/seal"
)

// twoFaced signs a second block for each place where it leads.
type twoFaced struct {
	aggregator.Link
	self  string
	chain [32]byte
}

func (l *twoFaced) Send(to string, frame []byte) {
	l.Link.Send(to, frame)
	f, h := &peerpb.Frame{}, &peerpb.RelayHeader{}
	if proto.Unmarshal(frame, f) != nil || f.GetRelay() == nil {
		return
	}
	origin, payload, err := seal.Peek(f.GetRelay().GetSeal())
	if err != nil || origin != l.self || proto.Unmarshal(payload, h) != nil {
		return
	}
	other := protowire.AppendVarint(protowire.AppendTag(f.GetRelay().GetMessage(), 1000, protowire.VarintType), 1)
	hash := sha256.Sum256(other)
	h.MessageSha256 = hash[:]
	payload, err = proto.Marshal(h)
	if err != nil {
		return
	}
	sealed, err := seal.Seal(ledgertest.Key(l.self), l.self, seal.DomainRelay, l.chain, payload)
	if err != nil {
		return
	}
	f.Body = &peerpb.Frame_Relay{Relay: &peerpb.Relay{Seal: sealed, Message: other}}
	if again, err := proto.Marshal(f); err == nil {
		l.Link.Send(to, again)
	}
}

// TestTwoFacedLeaderFalls: data aggregators that see two blocks of a leader for one place tell the
// chain by themselves. All come to the same, the record names the liar, and it leads no
// longer.
func TestTwoFacedLeaderFalls(t *testing.T) {
	g := testGenesis()
	first, err := ledger.NewState(g)
	if err != nil {
		t.Fatal(err)
	}
	liar := first.Order()[0]
	w := newTown(t, g)
	w.link = func(id string, l aggregator.Link) aggregator.Link {
		if id == liar {
			return &twoFaced{l, id, w.chain}
		}
		return l
	}
	w.startAll()
	seller := w.device("seller-1", "site-seller-1")
	fallen := func() bool {
		for _, da := range g.DAs() {
			if !w.da(da.ID).State().Guilty(liar) {
				return false
			}
		}
		return true
	}
	seq := uint64(1)
	for deadline := time.Now().Add(3 * time.Minute); !fallen(); seq++ {
		if time.Now().After(deadline) {
			t.Fatalf("too late: %+v", why(t, w, liar))
		}
		applied(t, "gate", seller.send(seller.gate(seq, fairwattpb.GateState_GATE_STATE_BLOCKED)))
	}
	for _, da := range g.DAs() {
		s := mustWhy(t, w, da.ID, liar)
		if s.TrustE4 != 0 || s.Place != 3 || s.Steps[0].Cause != "equivocation" || s.Steps[0].RecordHeight == 0 {
			t.Errorf("%s: %+v", da.ID, s)
		}
		if other := why(t, w, da.ID); da.ID != liar && other.Condemned {
			t.Errorf("%s is honest: %+v", da.ID, other)
		}
	}
	t.Logf("told after %d records, in block %d, epoch %d", seq, why(t, w, liar).Steps[0].RecordHeight, why(t, w, liar).Epoch)
	// The chain goes on, led by another.
	applied(t, "gate", seller.send(seller.gate(seq, fairwattpb.GateState_GATE_STATE_OPEN)))
	if s := w.da("da-1").State(); s.Order()[0] == liar {
		t.Errorf("%s leads still: %v", liar, s.Order())
	}
}
