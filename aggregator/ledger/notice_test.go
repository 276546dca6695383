package ledger_test

import (
	"bytes"
	"fmt"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
)

// TestNotices follows a trade and says who is told what by each block.
func TestNotices(t *testing.T) {
	w := newWorld(t, nil)
	say := func(st *ledger.Staged) string {
		out := ""
		for _, n := range st.Notices() {
			status := "-"
			if n.Trade != nil {
				status = n.Trade.Status
			}
			if n.Index >= 0 {
				c := st.Records()[n.Index]
				if own := c.Record.GetSender() == n.To; own != (n.Record == nil) || !own && !bytes.Equal(n.Record, c.Sealed) {
					t.Errorf("notice to %s has the wrong record", n.To)
				}
			}
			out += fmt.Sprintf("%s:%s ", n.To, status)
		}
		return out
	}
	for _, step := range []struct {
		sender string
		record func() *fairwattpb.Record
		want   string
	}{
		{ledgertest.Centre, func() *fairwattpb.Record { return deposit(buyer, 1_000_000, "d") }, "buyer-1:- "},
		{seller, func() *fairwattpb.Record { return gate(1, open) }, ""},
		{seller, func() *fairwattpb.Record { return w.offer(2000, 200_000) }, ""},
		{buyer, func() *fairwattpb.Record { return w.request(2000, 300_000) }, "mc:- "},
		{ledgertest.Centre, func() *fairwattpb.Record { return w.response(nil) }, "buyer-1:escrowed "},
		{buyer, func() *fairwattpb.Record { return pay(nil) }, "buyer-1:paid seller-1:paid "},
		{buyer, func() *fairwattpb.Record { return pay(nil) }, ""}, // refused
		{seller, func() *fairwattpb.Record { return start(w.attest(open, 1), 0) }, "buyer-1:delivering seller-1:delivering "},
		{seller, func() *fairwattpb.Record { return gate(2, blocked) }, "buyer-1:held seller-1:held "},
		{seller, func() *fairwattpb.Record { return hold(2, 1000) }, ""},
		{seller, func() *fairwattpb.Record { return w.bill(1000, 1000, 200_000) }, "buyer-1:billed seller-1:billed "},
	} {
		sealed, err := w.Seal(step.sender, step.record())
		if err != nil {
			t.Fatal(err)
		}
		st, err := w.Advance(sealed)
		if err != nil {
			t.Fatal(err)
		}
		if got := say(st); got != step.want {
			t.Errorf("%s: told %q, want %q", ledger.Kind(step.record()), got, step.want)
		}
	}
	st := w.wait(w.Genesis.Params.ConfirmByMs)
	if got := say(st); got != "buyer-1:billed seller-1:billed " {
		t.Errorf("by time: %q", got)
	}
	st = w.wait(w.Genesis.Params.SilenceMs)
	if got := say(st); got != "buyer-1:settled_partly seller-1:settled_partly " {
		t.Errorf("by time: %q", got)
	}
	if n := st.Notices()[0]; n.Index != -1 || n.Record != nil || n.Trade.PaidMicro != 200_000 || n.Trade.ReturnedMicro != 400_000 {
		t.Errorf("%+v", n)
	}
}
