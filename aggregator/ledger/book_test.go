package ledger_test

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// fading is robust credit whose periods a test's trades go through.
func fading(g *ledger.Genesis) {
	ledgertest.Robust(g)
	g.Params.CreditPeriodMs = 500_000
}

// Whatever becomes of offers, gates, bonds, trades and credit, within a block and from one
// to the next: an answer by the book is the answer that a look at every offer gives, and
// the book that follows the blocks is the one that the state gives.
func TestTheBookAnswersAsAllOffersDo(t *testing.T) {
	most, trades, runs := 0, 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		w := answering(t, rapid.SampledFrom([]func(*ledger.Genesis){fading, nil}).Draw(rt, "rules"))
		for i, price := range []int64{100_000, 200_000, 200_000} {
			w.sells(fmt.Sprintf("seller-%d", i+1), 1000, price)
		}
		w.token("buyer-2", 500, 300_000)
		n := 1 // of gate changes, too
		for range rapid.IntRange(3, 8).Draw(rt, "blocks") {
			var sealed [][]byte
			for range rapid.IntRange(0, 5).Draw(rt, "records") {
				n++
				sender, r := w.ofTheBook(rt, n)
				if r == nil {
					continue
				}
				one, err := w.Seal(sender, r)
				if err != nil {
					rt.Fatal(err)
				}
				sealed = append(sealed, one)
			}
			w.NowMs += rapid.SampledFrom([]int64{1, 1, 1000, 20_000, 300_000, 600_000}).Draw(rt, "ms")
			err := w.State.AnswersBothWays(w.NowMs, sealed, []string{buyer, "seller-1"}, 250_000, func(byBook, byAll []*fairwattpb.Quote) {
				if len(byBook) != len(byAll) {
					rt.Fatalf("by the book %v, of all %v", byBook, byAll)
				}
				for i := range byBook {
					if !proto.Equal(byBook[i], byAll[i]) {
						rt.Fatalf("by the book %v, of all %v", byBook, byAll)
					}
				}
				most = max(most, len(byAll))
			})
			if err != nil {
				rt.Fatal(err)
			}
			if _, err := w.Advance(sealed...); err != nil {
				rt.Fatal(err)
			}
			if same, offers := w.State.BookIsNew(); !same {
				rt.Fatalf("the book is not that of the state, which has %d offers that can be sold", offers)
			}
		}
		trades += len(w.State.Trades(func(t *ledger.Trade) bool { return t.Seller != "" }))
	})
	if enough(runs) && (most < 3 || trades == 0) {
		t.Errorf("%d quotes at most and %d trades: the test shows nothing", most, trades)
	}
}

// ofTheBook is a record that may change what can be sold, or what it is sold for; none
// where none fits.
func (w *world) ofTheBook(rt *rapid.T, n int) (string, record) {
	s := fmt.Sprintf("seller-%d", rapid.IntRange(1, 3).Draw(rt, "seller"))
	b := fmt.Sprintf("buyer-%d", rapid.IntRange(1, 3).Draw(rt, "buyer"))
	deeds := 7
	if w.Genesis.Params.Credit == ledger.CreditRobust {
		deeds = 9
	}
	switch rapid.IntRange(0, deeds).Draw(rt, "deed") {
	case 0, 1:
		return s, gate(uint64(n), rapid.SampledFrom([]fairwattpb.GateState{open, open, open, blocked}).Draw(rt, "gate"))
	case 2, 3:
		r := w.offerOf(s, rapid.SampledFrom([]int64{0, 200, 1000, 60_000}).Draw(rt, "wh"), rapid.SampledFrom([]int64{100_000, 200_000, 300_000}).Draw(rt, "price"))
		r.GetOffer().MinLotWh = rapid.SampledFrom([]int64{0, r.GetOffer().VolumeWh}).Draw(rt, "least")
		r.GetOffer().ExpiresMs = w.NowMs + rapid.SampledFrom([]int64{1_000_000, 3_000_000}).Draw(rt, "stands")
		return s, r
	case 4, 5:
		r := w.asks(b, 500, 300_000)
		r.GetRequest().RequestId = fmt.Sprintf("r-%d", n)
		return b, r
	case 6, 7:
		tokens := w.State.Trades(func(t *ledger.Trade) bool { return t.Status == wire.StatusEscrowed })
		if len(tokens) == 0 {
			return "", nil
		}
		return tokens[0].Buyer, chosen(tokens[0].ID, tokens[0].Buyer+"-meter", choice(s, 300_000, 500))
	case 8:
		return s, &fairwattpb.Record{Body: &fairwattpb.Record_Unbond{Unbond: &fairwattpb.Unbond{AmountMicro: rapid.SampledFrom([]int64{aBond / 2, aBond}).Draw(rt, "unbond")}}}
	default:
		return s, &fairwattpb.Record{Body: &fairwattpb.Record_Bond{Bond: &fairwattpb.Bond{AmountMicro: aBond / 4}}}
	}
}

// A seller that has billed can be had again, by the offer that it made meanwhile.
func TestTheBookHasWhoHasBilled(t *testing.T) {
	w := answering(t, nil)
	w.sells("seller-1", 300, 200_000)
	tok := w.token(buyer, 300, 300_000).Token.TokenId
	w.must(buyer, chosen(tok, "buyer-1-meter", choice("seller-1", 200_000, 300)))
	w.must("seller-1", w.offerOf("seller-1", 500, 150_000))
	if a := w.answered("buyer-2", w.asks("buyer-2", 300, 300_000)); a != nil {
		t.Fatalf("a seller that delivers is quoted: %v", a)
	}
	w.must("seller-1", started(tok, "seller-1-meter-2", w.attests("seller-1")))
	w.wait(60_000)
	w.must("seller-1", billed(w.tradeIs(tok, wire.StatusDelivering), "seller-1-meter-2", 300))
	want(t, quoted(w.token("buyer-3", 300, 300_000)), "seller-1")
}

// Credit is forgotten by periods: who may promise more in a new one is quoted in its first
// block.
func TestTheFirstBlockOfAPeriodHasItsOwnBook(t *testing.T) {
	w := answering(t, fading)
	w.sells("seller-1", 300, 200_000)
	tok := w.token(buyer, 300, 300_000).Token.TokenId
	w.must(buyer, chosen(tok, "buyer-1-meter", choice("seller-1", 200_000, 300)))
	w.wait(w.Genesis.Params.StartByMs + 1)
	w.tradeIs(tok, wire.StatusFailed)
	period := w.Genesis.Params.CreditPeriodMs
	next := w.Genesis.CreatedMs + ((w.NowMs-w.Genesis.CreatedMs)/period+1)*period
	_, now, _ := w.State.AccountAt("seller-1", w.NowMs)
	_, then, _ := w.State.AccountAt("seller-1", next)
	lot := then * 1000 / 200_000
	if lot*200_000/1000 <= now {
		t.Fatalf("a lot of %d Wh: it may promise %d now and %d then", lot, now, then)
	}
	r := w.offerOf("seller-1", lot, 200_000)
	r.GetOffer().MinLotWh, r.GetOffer().ExpiresMs = lot, next+600_000
	w.must("seller-1", r)
	if a := w.answered("buyer-2", w.asks("buyer-2", 300, 300_000)); a != nil {
		t.Fatalf("quoted before: %v", a)
	}
	w.NowMs = next
	want(t, quoted(w.token("buyer-3", 300, 300_000)), "seller-1")
}
