package main

import (
	"strings"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
)

// Terms are read as people write them, sorted by meter; what is wrong is told with its flag.
func TestTermsOf(t *testing.T) {
	got, err := termsOf("0.15", []string{"home-2=33.3", "home-1=60", "bakery=.01"})
	if err != nil || got.PriceMicroPerKwh != 150_000 || len(got.Shares) != 3 {
		t.Fatalf("%v, %v", got, err)
	}
	for i, want := range []*fairwattpb.Share{{Meter: "bakery", ShareE4: 1}, {Meter: "home-1", ShareE4: 6_000}, {Meter: "home-2", ShareE4: 3_330}} {
		if got.Shares[i].Meter != want.Meter || got.Shares[i].ShareE4 != want.ShareE4 {
			t.Errorf("%v, want %v", got.Shares[i], want)
		}
	}
	if got, err = termsOf("1", []string{"home-1=100"}); err != nil || got.Shares[0].ShareE4 != 10_000 {
		t.Errorf("%v, %v", got, err)
	}
	for _, c := range []struct {
		price, shares, want string
	}{
		{"", "home-1=1", "--price and --share are required"},
		{"0.15", "", "--price and --share are required"},
		{"cheap", "home-1=1", "--price: "},
		{"0.15", "home-1", `--share "home-1": want METER=PERCENT`},
		{"0.15", "home-1=0", `--share "home-1=0": want`},
		{"0.15", "home-1=-1", `--share "home-1=-1": want`},
		{"0.15", "home-1=100.01", `--share "home-1=100.01": want`},
		{"0.15", "home-1=1.234", `--share "home-1=1.234": want`},
		{"0.15", "home-1=1e1", `--share "home-1=1e1": want`},
		{"0.15", "home-1=", `--share "home-1=": want`},
		{"0.15", "home-1=10 home-1=10", `--share "home-1=10": meter home-1 has a part already`},
		{"0.15", "home-1=60 home-2=40.01", `--share "home-2=40.01": with it the parts are more than 100`},
	} {
		if _, err := termsOf(c.price, strings.Fields(c.shares)); !isUsage(err) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q, %q: %v, want %q", c.price, c.shares, err, c.want)
		}
	}
}

// market terms shows what stands, and says what is missing where nothing does.
func TestMarketTerms(t *testing.T) {
	show := func(rules func(*ledger.Genesis), terms *fairwattpb.SharingTerms, args ...string) (string, error) {
		g := ledgertest.Genesis(1, 1, 2)
		rules(g)
		c, err := ledgertest.New(g)
		if err != nil {
			t.Fatal(err)
		}
		r := &fairwattpb.Record{Body: &fairwattpb.Record_SharingTerms{SharingTerms: terms}}
		if terms == nil { // a chain of one block all the same
			r = &fairwattpb.Record{Body: &fairwattpb.Record_Deposit{Deposit: &fairwattpb.Deposit{To: "buyer-1", AmountMicro: 1, Reference: "r"}}}
		}
		if o, err := c.Send(ledgertest.Centre, r); err != nil || !o.Applied {
			t.Fatalf("%v, %v", o, err)
		}
		return runMarket(append([]string{"market", "terms", "--export", exportOf(t, c)}, args...)...)
	}
	terms := &fairwattpb.SharingTerms{PriceMicroPerKwh: 150_000, Shares: []*fairwattpb.Share{{Meter: "buyer-1-meter", ShareE4: 6_000}, {Meter: "buyer-2-meter", ShareE4: 25}}}
	out, err := show(ledgertest.Sharing, terms)
	const want = "since block 1, at 0.150000 per kWh:\n    60.00 %  buyer-1-meter\n     0.25 %  buyer-2-meter\n    39.75 %  no one's\n"
	if err != nil || out != want {
		t.Errorf("%q, %v, want %q", out, err, want)
	}
	out, err = show(ledgertest.Sharing, terms, "--json")
	if err != nil || out != `{"height":1,"price_micro_per_kwh":150000,"share_e4":{"buyer-1-meter":6000,"buyer-2-meter":25}}`+"\n" {
		t.Errorf("%q, %v", out, err)
	}
	if out, err = show(ledgertest.Sharing, nil); err != nil || !strings.Contains(out, "no centre has said yet") {
		t.Errorf("%q, %v", out, err)
	}
	if _, err = show(ledgertest.Auction, nil); err == nil || !strings.Contains(err.Error(), `its mechanism is "auction"`) {
		t.Errorf("%v", err)
	}
}
