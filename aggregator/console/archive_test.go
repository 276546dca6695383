package console

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"fairwatt/aggregator/history"
)

// kept is an Archive of the sample's community: a sunny day with a storm from noon on.
type kept struct{ nowMs int64 }

// round3 keeps the answers as short as the real ones.
func round3(v float64) *float64 { return number(math.Round(v*1000) / 1000) }

func (k kept) day(id string, i, of int) (gate byte, power, gust *float64) {
	at := float64(i) / float64(of)
	if id == "wind-3" && at < 0.2 {
		return '-', nil, nil
	}
	storm := math.Exp(-math.Pow((at-0.9)*7, 2))
	gust = round3(6 + 4*math.Sin(at*9) + 24*storm)
	power = round3(4800 * math.Max(0, math.Sin(math.Pi*(at*1.5-0.2))) * (1 - 0.8*storm))
	switch {
	case id == "wind-2" && at > 0.8:
		return 'c', power, gust
	case id == "wind-3" && at > 0.95:
		return 'u', nil, nil
	case at > 0.78 && at < 0.8:
		return 'm', power, gust
	case id == "pv-4" && at > 0.85:
		return 'c', power, gust
	}
	return 'o', power, gust
}

func (k kept) Strips(names []string) ([]Strip, error) {
	var out []Strip
	for _, n := range names {
		site, id, _ := strings.Cut(n, "/")
		s := Strip{Site: site, ID: id, FromS: k.nowMs/1000/900*900 - 96*900, StepS: 900}
		gate := make([]byte, 97)
		for i := range gate {
			letter, p, g := k.day(id, i, 96)
			gate[i], s.PowerW, s.GustMPS = letter, append(s.PowerW, p), append(s.GustMPS, g)
			if p != nil {
				s.EnergyWh += *p / 4
			}
			if letter == 'o' {
				s.OpenS += 900
			} else {
				s.ClosedS += 900
			}
		}
		s.Gate = string(gate)
		out = append(out, s)
	}
	return out, nil
}

func (k kept) Series(site, id, span string) (*Series, error) {
	s := &Series{Site: site, ID: id, Span: span, StepS: 300}
	for i := range 288 {
		letter, p, g := k.day(id, i, 288)
		open := number(0)
		if letter == 'o' {
			open = number(1)
		}
		s.TimeS = append(s.TimeS, k.nowMs/1000/300*300-int64(288-i)*300)
		s.Open, s.PowerW, s.GustMPS = append(s.Open, open), append(s.PowerW, p), append(s.GustMPS, g)
		var wind, energy *float64
		if g != nil {
			wind, energy = round3(*g*0.6), round3(*p/12)
		}
		s.WindMPS, s.EnergyWh = append(s.WindMPS, wind), append(s.EnergyWh, energy)
		s.TemperatureC, s.IrradianceWPM2 = append(s.TemperatureC, round3(17+6*math.Sin(float64(i)/46))), append(s.IrradianceWPM2, nil)
	}
	return s, nil
}

func (k kept) entries() []history.Entry {
	id := func(n int) string { return strings.Repeat(fmt.Sprintf("%08x", 0x5f2c9a0b+n*0x10a3f7c1&0x7fffffff), 8) }
	const trade = "t-house-1-41"
	list := []history.Entry{
		{Height: 460, Kind: history.KindRecord, What: "response", ID: id(1), Who: "mc-1", Other: "house-1", Trade: trade, AmountMicro: 375_000, EnergyWh: 2500},
		{Height: 460, Kind: history.KindStatus, What: "escrowed", Trade: trade},
		{Height: 460, Kind: history.KindMove, What: "escrowed", Who: "house-1", Trade: trade, WalletMicro: -375_000, EscrowMicro: 375_000},
		{Height: 461, Kind: history.KindRecord, What: "pay", ID: id(2), Who: "house-1", Other: "pv-1", Trade: trade, AmountMicro: 375_000, EnergyWh: 2500},
		{Height: 461, Kind: history.KindStatus, What: "paid", Trade: trade},
		{Height: 462, Kind: history.KindRecord, What: "start", ID: id(3), Who: "pv-1", Trade: trade, Code: "gate_not_open", Text: hostile},
		{Height: 463, Kind: history.KindRecord, What: "start", ID: id(4), Who: "pv-1", Trade: trade},
		{Height: 463, Kind: history.KindStatus, What: "delivering", Trade: trade},
		{Height: 466, Kind: history.KindRecord, What: "bill", ID: id(5), Who: "pv-1", Trade: trade, AmountMicro: 373_650, EnergyWh: 2491},
		{Height: 466, Kind: history.KindStatus, What: "billed", Trade: trade},
		{Height: 470, Kind: history.KindRecord, What: "confirm", ID: id(6), Who: "house-1", Trade: trade, EnergyWh: 2491, Unknown: true},
		{Height: 470, Kind: history.KindStatus, What: "settled", Trade: trade},
		{Height: 470, Kind: history.KindStep, What: "kept", Who: "pv-1", Trade: trade, EnergyWh: 2491, CreditE6: 812_000},
		{Height: 470, Kind: history.KindMove, What: "sold", Who: "pv-1", Other: "house-1", Trade: trade, WalletMicro: 373_650, EnergyWh: 2491},
	}
	for i := range list {
		list[i].Seq, list[i].TimeMs = uint32(i), k.nowMs-int64(480-list[i].Height)*60_000
	}
	return list
}

func (k kept) Story(subject string, before uint64) (*Story, error) {
	s := &Story{Entries: []history.Entry{}, KeptFrom: 12}
	all := k.entries()
	for i := len(all) - 1; i >= 0; i-- {
		e := all[i]
		if (before == 0 || e.Height < before) && (subject == "t/"+e.Trade || subject == "p/"+e.Who) {
			s.Entries = append(s.Entries, e)
		}
	}
	return s, nil
}

func (k kept) Participant(id string) (*Participant, bool) {
	if id != "house-1" && id != "pv-1" {
		return nil, false
	}
	p := &Participant{ID: id, Site: "harbour", Roles: []string{"buyer"}, Simulated: true, Account: &Account{
		WalletMicro: 24_125_000, BondMicro: 10_000_000, ExposureMicro: 4_000_000, LimitMicro: 20_000_000, CreditE6: 812_000, Kept: 41, Broken: 1,
		Listed: true, ListedUntilMs: k.nowMs + 86400e3, FinesDueMicro: 250_000,
	}, Membership: Membership{Standing: "suspended", StandingHeight: 480, StandingReason: "its meter is looked at", KeyHeight: 301}}
	if id == "pv-1" {
		p.Roles, p.Offer = []string{"seller"}, &Offer{VolumeWh: 8000, PriceMicroPerKWh: 150_000, ExpiresMs: k.nowMs + 3600e3}
	}
	return p, true
}

func (k kept) Block(height uint64) (*BlockDetail, bool, error) {
	if height > 482 {
		return nil, false, nil
	}
	d := &BlockDetail{Block: Block{Height: height, Hash: strings.Repeat("ab12", 16), TimeMs: k.nowMs - 60e3, Epoch: 24, View: 1, AccountingNode: "da-3", Records: 2, Bytes: 4096, Votes: 3},
		Voters: []string{"da-1", "da-2", "da-3"}, Kept: true}
	for _, e := range k.entries() {
		if e.Height == height {
			d.Entries = append(d.Entries, e)
		}
	}
	return d, true, nil
}

func (k kept) Search(text string) ([]Found, error) {
	if text == "nothing" {
		return nil, nil
	}
	return []Found{{Kind: "generator", ID: "pv-1", Site: "harbour"}, {Kind: "participant", ID: "house-1", Site: "harbour"}, {Kind: "trade", ID: "t-house-1-41", Text: "settled"}, {Kind: "block", ID: "41"}}, nil
}

func (k kept) Proof(id string) ([]byte, error) {
	switch id[63] {
	case '0':
		return nil, nil
	case '1':
		return nil, fmt.Errorf("the outcomes of block 9: %w", ErrNotKept)
	}
	return []byte(`{"format":"fairwatt-proof-1"}`), nil
}

// Each address answers with its kind of JSON, and says what is wrong with a question.
func TestArchiveAddresses(t *testing.T) {
	src := newFixed(sample(1_780_000_000_000))
	src.kept = kept{1_780_000_000_000}
	h := New(src, Options{}).Handler()
	get := func(path string) (int, string) {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "http://localhost/api/v1/"+path, nil)
		h.ServeHTTP(w, r)
		if !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s: no JSON: %.100s", path, w.Body)
		}
		return w.Code, w.Body.String()
	}
	for _, c := range []struct {
		path string
		code int
		says string
	}{
		{"strips?of=harbour/pv-1&of=ridge/wind-2", 200, `"id":"wind-2"`},
		{"strips", 400, "of=SITE/ID is given 0 times, want 1 to 60"},
		{"strips?" + strings.Repeat("of=a/b&", 61), 400, "given 61 times"},
		{"strips?of=pv-1", 400, `of=\"pv-1\" is not SITE/ID`},
		{"generators/harbour/pv-1/history", 200, `"span":"day"`},
		{"generators/harbour/pv-1/history?span=year", 200, `"span":"year"`},
		{"generators/harbour/pv-1/history?span=century", 400, `span=\"century\" is not one of day, week, month, year`},
		{"trades/t-house-1-41/story", 200, `"what":"settled"`},
		{"trades/t-house-1-41/story?before=461", 200, `"what":"escrowed"`},
		{"trades/t-house-1-41/story?before=x", 400, `before=\"x\" is not a height`},
		{"participants/house-1", 200, `"wallet_micro":24125000`},
		{"participants/nobody", 404, `no participant \"nobody\" on this chain`},
		{"participants/house-1/story", 200, `"what":"pay"`},
		{"blocks/470", 200, `"voters":["da-1"`},
		{"blocks/9999", 404, "no block 9999 on this chain yet"},
		{"blocks/-1", 400, `\"-1\" is not a height`},
		{"search?q=pv", 200, `"kind":"generator"`},
		{"search?q=nothing", 200, `{"found":[]}`},
		{"search", 400, "want 1 to 100 characters"},
		{"search?q=" + strings.Repeat("x", 101), 400, "want 1 to 100 characters"},
		{"records/" + strings.Repeat("a", 64) + "/proof", 200, "fairwatt-proof-1"},
		{"records/" + strings.Repeat("A", 64) + "/proof", 200, "fairwatt-proof-1"},
		{"records/" + strings.Repeat("0", 64) + "/proof", 404, "no record"},
		{"records/" + strings.Repeat("1", 64) + "/proof", 404, "it is not kept here"},
		{"records/zz/proof", 400, "is not 64 hexadecimal digits"},
	} {
		if code, body := get(c.path); code != c.code || !strings.Contains(body, c.says) {
			t.Errorf("%s: %d %.200s; want %d and %q", c.path, code, body, c.code, c.says)
		}
	}
	src.kept = nil
	for _, path := range []string{"strips?of=a/b", "blocks/1", "search?q=a", "participants/a"} {
		if code, body := get(path); code != http.StatusNotFound || !strings.Contains(body, "keeps no history") {
			t.Errorf("%s without an archive: %d %s", path, code, body)
		}
	}
}
