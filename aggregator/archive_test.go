package aggregator_test

import (
	"context"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"fairwatt/aggregator/console"
	"fairwatt/aggregator/history"
	"fairwatt/aggregator/ledger"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// What is kept of a trade, its sides and its blocks is what the chain says, before and
// after a restart, and a record's proof holds with nothing but the genesis.
func TestArchiveOfATrade(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreTopFunction("github.com/golang/glog.(*fileSink).flushDaemon"))
	w := newTown(t, testGenesis())
	t.Run("town", func(t *testing.T) {
		w.t = t
		w.startAll()
		centre, _ := w.centre(filepath.Join(w.dir, "counter.db"))
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := centre.Deposit(ctx, &fairwattpb.Deposit{To: "buyer-1", AmountMicro: 1_000_000, Reference: "bank-1"}); err != nil {
			t.Fatal(err)
		}
		seller, buyer := w.device("seller-1", "site-seller-1"), w.device("buyer-1", "site-buyer-1")
		applied(t, "gate", seller.send(seller.gate(1, open)))
		b := buy(t, w, seller, buyer, "r-1")
		id := b.token.GetTokenId()
		if err := w.broker.publish(wire.Topics{Site: "site-seller-1", Device: "seller-1"}.Of(wire.ClassTelemetry), false,
			[]byte(`{"schema":"telemetry/1","seq":1,"ts":"2026-01-01T00:00:00.000Z","ac":{"power":5000},"wx":{"wind_gust":12.5}}`)); err != nil {
			t.Fatal(err)
		}
		isKept(t, w, id, b.payID)

		// Without its history file the aggregator reads the chain again: what each
		// record is, and not what the rules said of it, so there is no proof.
		w.halt("da-1")
		w.start("da-1")
		isKept(t, w, id, b.payID)
		w.halt("da-1")
		if err := os.Remove(filepath.Join(w.dir, "da-1", history.File)); err != nil {
			t.Fatal(err)
		}
		w.start("da-1")
		da := w.da("da-1")
		s, err := da.Archive().Story("t/"+id, 0)
		if err != nil || len(s.Entries) < 2 || !s.Entries[0].Unknown {
			t.Fatalf("after the loss: %+v, %v", s, err)
		}
		if _, err := da.Archive().Proof(hexOf(b.payID)); !errors.Is(err, console.ErrNotKept) {
			t.Errorf("a proof without outcomes: %v", err)
		}
		if d, ok, err := da.Archive().Block(s.Entries[0].Height); err != nil || !ok || d.Kept {
			t.Errorf("what the block did is not kept any more: %+v, %v", d, err)
		}
	})
}

func isKept(t *testing.T, w *town, trade string, payID []byte) {
	t.Helper()
	a := w.da("da-1").Archive()
	deadline := time.Now().Add(patience) // da-1 may be behind the ones that sent receipts
	var kinds []string
	for {
		s, err := a.Story("t/"+trade, 0)
		if err != nil {
			t.Fatal(err)
		}
		kinds = nil
		for _, e := range s.Entries {
			kinds = append(kinds, e.Kind+" "+e.What)
		}
		if slices.Contains(kinds, "status paid") || time.Now().After(deadline) {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	for _, want := range []string{"record response", "record pay", "status paid", "move escrowed"} {
		if !slices.Contains(kinds, want) {
			t.Errorf("the trade's story lacks %q: %q", want, kinds)
		}
	}
	p, ok := a.Participant("buyer-1")
	if !ok || p.Account == nil || p.Account.WalletMicro != w.da("da-1").State().Balance("buyer-1") || !slices.Contains(p.Roles, "buyer") {
		t.Errorf("the buyer: %+v", p)
	}
	proof, err := a.Proof(hexOf(payID))
	if err != nil {
		t.Fatal(err)
	}
	proven, err := ledger.VerifyProof(w.g, proof)
	if err != nil || proven.Record.GetPay().GetTokenId() != trade {
		t.Errorf("the proof: %+v, %v", proven, err)
	}
	d, ok, err := a.Block(proven.Header.GetHeight())
	if err != nil || !ok || !d.Kept || len(d.Voters) < 3 || !slices.ContainsFunc(d.Entries, func(e history.Entry) bool { return e.ID == hexOf(payID) }) {
		t.Errorf("the block: %+v, %v", d, err)
	}
	for q, want := range map[string]console.Found{
		trade:           {Kind: "trade", ID: trade, Text: "paid"},
		"1":             {Kind: "block", ID: "1"},
		hexOf(payID):    {Kind: "record", ID: hexOf(payID)},
		"SELLER-1":      {Kind: "generator", ID: "seller-1", Site: "site-seller-1"},
		"site-buyer-1":  {Kind: "participant", ID: "buyer-1", Site: "site-buyer-1"},
		"none of these": {},
	} {
		found, err := a.Search(q)
		if err != nil {
			t.Fatal(err)
		}
		if want == (console.Found{}) {
			if len(found) != 0 {
				t.Errorf("%q finds %+v", q, found)
			}
		} else if !slices.ContainsFunc(found, func(f console.Found) bool { return f.Kind == want.Kind && f.ID == want.ID && f.Site == want.Site }) {
			t.Errorf("%q finds %+v, want %+v", q, found, want)
		}
	}
	series, err := a.Series("site-seller-1", "seller-1", "day")
	if err != nil || len(series.TimeS) == 0 {
		t.Fatalf("the series: %+v, %v", series, err)
	}
	measured := func(v *float64) bool { return v != nil }
	if i := slices.IndexFunc(series.PowerW, measured); i < 0 || *series.PowerW[i] != 5000 || *series.GustMPS[i] != 12.5 {
		t.Errorf("the power of 5 kW is not in the series: %d", i)
	}
	strips, err := a.Strips([]string{"site-seller-1/seller-1"})
	if err != nil || len(strips) != 1 || len(strips[0].Gate) != 97 || !slices.ContainsFunc(strips[0].PowerW, measured) {
		t.Errorf("the strip: %+v, %v", strips, err)
	}
}

func hexOf(id []byte) string { return hex.EncodeToString(id) }
