package ledger_test

import (
	"fmt"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// A meterAttack is a record that lies about a meter, an amount or a time. The paper's
// rule knows no registry, and lets it pass.
type meterAttack struct {
	id, what, code string
	rules          func(*ledger.Genesis)
	to             func(*world)
	sender         string
	record         func(*world) record
}

var meterAttackRows = []meterAttack{
	{"A08", "a trade of 2 Wh, for the credit of it", wire.CodeVolumeWrong, nil, (*world).toEscrowed, buyer, func(*world) record {
		return pay(func(p *fairwattpb.Pay) { p.VolumeWh, p.AmountMicro = 2, 400 })
	}},
	{"A31", "a trade that costs nothing, for the credit of it", wire.CodeAmountWrong, nil,
		func(w *world) { w.toEscrowed(); w.must(seller, w.offer(5000, 1)) }, buyer, func(*world) record {
			return pay(func(p *fairwattpb.Pay) { p.VolumeWh, p.PriceMicroPerKwh, p.AmountMicro = 499, 1, 0 })
		}},
	{"A33", "a reading of 1970", wire.CodeReadingTime, nil, (*world).toDelivering, seller, func(*world) record {
		r := readingOf("seller-1-meter", 1000)
		r.GetReading().Reading.TimeMs = 1
		return r
	}},
	{"A34", "the buyer names the seller's meter first, so that it can never sell", wire.CodeMeterNotYours, nil, (*world).toEscrowed, buyer, func(*world) record {
		return pay(func(p *fairwattpb.Pay) { p.BuyerReading = at("seller-1-meter", 0) })
	}},
	{"A38", "one meter sells under a second name", wire.CodeMeterUnknown, nil, (*world).toPaid, seller,
		func(w *world) record { return on(start(w.attest(open, 1), 1000), "another-name") }},
	{"A39", "a GWh in a few milliseconds", wire.CodeOverRatedPower, func(g *ledger.Genesis) {
		if len(g.Meters) > 0 {
			g.Meters[0].RatedW = 10_000
		}
	}, func(w *world) {
		w.toPaid()
		w.must(seller, start(w.attest(open, 1), 0))
	}, seller, func(*world) record { return readingOf("seller-1-meter", 1_000_000_000) }},
}

// meterAttacks plays them by both rules: ours refuse each, with its code.
func meterAttacks(t *testing.T) string {
	rows := ""
	for _, a := range meterAttackRows {
		play := func(rules func(*ledger.Genesis)) string {
			w := newWorld(t, func(g *ledger.Genesis) {
				if rules != nil {
					rules(g)
				}
				if a.rules != nil {
					a.rules(g)
				}
			})
			a.to(w)
			return w.send(a.sender, a.record(w))
		}
		if got := play(nil); got != a.code {
			t.Errorf("%s: %q, want %s", a.id, got, a.code)
		}
		literal := "passes"
		if code := play(paper); code != "" {
			literal = "refused: `" + code + "`"
		}
		rows += fmt.Sprintf("| %s | %s | %s | refused | `%s` |\n", a.id, a.what, literal, a.code)
	}
	return rows
}
