package page

import (
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"fairwatt/aggregator/console"
	"fairwatt/aggregator/history"
	"fairwatt/aggregator/ledger"
	"fairwatt/proto/fairwattpb"
)

// An archive answers from the history, the store and the state.
type archive struct{ *Page }

// Archive implements console.Source.
func (p *Page) Archive() console.Archive {
	if p.cfg.History == nil {
		return nil
	}
	return archive{p}
}

// stripStepS is the length of a cell of a strip.
const stripStepS = 900

// Strips implements console.Archive.
func (a archive) Strips(names []string) ([]console.Strip, error) {
	now := a.cfg.Now()
	all, err := a.cfg.History.Series(names, now.Add(-24*time.Hour), now, stripStepS)
	if err != nil {
		return nil, err
	}
	out := make([]console.Strip, len(names))
	for i, points := range all {
		site, id, _ := strings.Cut(names[i], "/")
		s := console.Strip{Site: site, ID: id, StepS: stripStepS, FromS: points[0].TimeS}
		var gate strings.Builder
		for _, q := range points {
			gate.WriteByte(gateLetter(&q))
			s.PowerW, s.GustMPS = append(s.PowerW, shown(q.PowerW)), append(s.GustMPS, shown(q.GustMPS))
			s.EnergyWh, s.OpenS, s.ClosedS = s.EnergyWh+q.EnergyWh, s.OpenS+q.OpenS, s.ClosedS+q.ClosedS
		}
		s.Gate, s.EnergyWh = gate.String(), math.Round(s.EnergyWh)
		out[i] = s
	}
	return out, nil
}

// gateLetter says what a gate was in a cell. A tenth of another state is worth a word.
func gateLetter(p *history.Point) byte {
	all := p.OpenS + p.ClosedS + p.UnknownS
	switch {
	case all == 0:
		return '-'
	case p.UnknownS > all/2:
		return 'u'
	case p.OpenS >= 0.9*(p.OpenS+p.ClosedS):
		return 'o'
	case p.ClosedS >= 0.9*(p.OpenS+p.ClosedS):
		return 'c'
	default:
		return 'm'
	}
}

// shown rounds to what a screen can show: four digits.
func shown(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	if v != 0 {
		unit := math.Pow10(int(math.Floor(math.Log10(math.Abs(v)))) - 3)
		v = math.Round(v/unit) * unit
		v = math.Round(v*1e6) / 1e6
	}
	return &v
}

var spans = map[string]struct {
	back  time.Duration
	stepS int64
}{
	"day": {24 * time.Hour, 300}, "week": {7 * 24 * time.Hour, 3600},
	"month": {31 * 24 * time.Hour, 3600}, "year": {366 * 24 * time.Hour, 6 * 3600},
}

// Series implements console.Archive.
func (a archive) Series(site, id, span string) (*console.Series, error) {
	now, of := a.cfg.Now(), spans[span]
	all, err := a.cfg.History.Series([]string{site + "/" + id}, now.Add(-of.back), now, of.stepS)
	if err != nil {
		return nil, err
	}
	s := &console.Series{Site: site, ID: id, Span: span, StepS: of.stepS, TimeS: []int64{}}
	for _, q := range all[0] {
		open, energy := math.NaN(), math.NaN()
		if known := q.OpenS + q.ClosedS; known > 0 {
			open = q.OpenS / known
		}
		if !math.IsNaN(q.PowerW) {
			energy = q.EnergyWh
		}
		s.TimeS = append(s.TimeS, q.TimeS)
		s.Open, s.PowerW, s.EnergyWh = append(s.Open, shown(open)), append(s.PowerW, shown(q.PowerW)), append(s.EnergyWh, shown(energy))
		s.WindMPS, s.GustMPS = append(s.WindMPS, shown(q.WindMPS)), append(s.GustMPS, shown(q.GustMPS))
		s.TemperatureC, s.IrradianceWPM2 = append(s.TemperatureC, shown(q.TemperatureC)), append(s.IrradianceWPM2, shown(q.IrradianceWPM2))
	}
	return s, nil
}

// storyPage is how many entries one answer has, about.
const storyPage = 100

// Story implements console.Archive.
func (a archive) Story(subject string, before uint64) (*console.Story, error) {
	entries, err := a.cfg.History.Of(subject, before, storyPage)
	if err != nil {
		return nil, err
	}
	s := &console.Story{Entries: withoutOutcomes(entries)}
	if len(entries) >= storyPage {
		s.Next = entries[len(entries)-1].Height
	}
	s.KeptFrom, err = a.cfg.History.From()
	return s, err
}

// Participant implements console.Archive.
func (a archive) Participant(id string) (*console.Participant, bool) {
	who, ok := a.state.Participant(id)
	if !ok {
		return nil, false
	}
	p := &console.Participant{ID: who.ID, Site: who.Site, Simulated: who.Simulated, Roles: []string{}, Membership: membership(&who)}
	for _, r := range []struct {
		has  bool
		name string
	}{{who.Seller, "seller"}, {who.Buyer, "buyer"}, {who.Centre, "centre"}, {who.Arbiter, "arbiter"}, {who.Aggregator, "aggregator"}} {
		if r.has {
			p.Roles = append(p.Roles, r.name)
		}
	}
	now := a.cfg.Now()
	if acc, limit, ok := a.state.AccountAt(id, now.UnixMilli()); ok {
		p.Account = &console.Account{
			WalletMicro: acc.WalletMicro, BondMicro: acc.BondMicro, LeavingMicro: acc.LeavingMicro, ExposureMicro: acc.ExposureMicro,
			LimitMicro: limit, FinesDueMicro: acc.FinesDueMicro, CreditE6: acc.CreditE6, Kept: acc.Kept, Broken: acc.Broken,
			GoodWh: acc.GoodWh, BadWh: acc.BadWh, Listed: acc.Blacklisted, ListedUntilMs: acc.ListedUntilMs,
		}
	}
	if o, ok := a.offers(now)[id]; ok {
		p.Offer = &o
	}
	return p, true
}

// membership is how a member stands; empty of one that never was one.
func membership(p *ledger.Participant) console.Membership {
	if !p.Member() {
		return console.Membership{}
	}
	return console.Membership{Standing: p.Standing.String(), StandingHeight: p.StandingAt, StandingReason: p.Reason, KeyHeight: p.KeyHeight}
}

// Block implements console.Archive.
func (a archive) Block(height uint64) (*console.BlockDetail, bool, error) {
	if height == 0 || height > a.store.Height() {
		return nil, false, nil
	}
	if first := a.store.First(); height < first {
		return nil, false, fmt.Errorf("block %d: %w", height, notKept(first))
	}
	cb, err := a.store.Block(height)
	if err != nil {
		return nil, false, err
	}
	b, _, err := summary(cb)
	if err != nil {
		return nil, false, err
	}
	d := &console.BlockDetail{Block: b, Voters: []string{}}
	var cert fairwattpb.Certificate
	if err := proto.Unmarshal(cb.GetCertificate(), &cert); err != nil {
		return nil, false, fmt.Errorf("certificate of block %d: %w", height, err)
	}
	for _, v := range cert.GetVotes() {
		d.Voters = append(d.Voters, v.GetDa())
	}
	if d.Entries, err = a.cfg.History.Block(height); err != nil {
		return nil, false, err
	}
	d.Kept = len(d.Entries) >= b.Records && len(d.Entries) > 0 && !d.Entries[0].Unknown
	if len(d.Entries) < b.Records {
		if d.Entries, err = recordsOf(cb); err != nil {
			return nil, false, err
		}
	}
	d.Entries = withoutOutcomes(d.Entries)
	return d, true, nil
}

// notKept is the error for a block below the oldest that is kept.
func notKept(first uint64) error {
	return fmt.Errorf("%w: blocks below %d are in the archive, or with another data aggregator", console.ErrNotKept, first)
}

// withoutOutcomes leaves out what only proofs need.
func withoutOutcomes(list []history.Entry) []history.Entry {
	out := make([]history.Entry, len(list))
	for i, e := range list {
		e.Outcome = nil
		out[i] = e
	}
	return out
}

// maxFound bounds what a search answers with.
const maxFound = 20

// Search implements console.Archive.
func (a archive) Search(text string) ([]console.Found, error) {
	text = strings.ToLower(text)
	var out []console.Found
	if h, err := strconv.ParseUint(strings.TrimPrefix(text, "#"), 10, 64); err == nil && h > 0 && h <= a.store.Height() {
		out = append(out, console.Found{Kind: "block", ID: strconv.FormatUint(h, 10)})
	}
	if t, ok := a.state.Trade(text); ok {
		out = append(out, console.Found{Kind: "trade", ID: t.ID, Text: t.Status})
	}
	if raw, err := hex.DecodeString(text); err == nil && len(raw) == 32 {
		entries, err := a.cfg.History.Of("r/"+text, 0, 1)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			out = append(out, console.Found{Kind: "record", ID: e.ID, Text: strconv.FormatUint(e.Height, 10)})
		}
	}
	var exact, rest []console.Found
	for _, p := range a.state.Participants() {
		if !strings.Contains(p.ID, text) && !strings.Contains(p.Site, text) {
			continue
		}
		f := console.Found{Kind: "participant", ID: p.ID, Site: p.Site}
		if p.Standing != ledger.Active {
			f.Text = p.Standing.String()
		}
		if p.Seller {
			f.Kind = "generator"
		}
		if strings.HasPrefix(p.ID, text) {
			exact = append(exact, f)
		} else {
			rest = append(rest, f)
		}
	}
	a.journal.mu.Lock()
	for _, t := range a.journal.changed {
		if strings.Contains(strings.ToLower(t.ID), text) && t.ID != text {
			rest = append(rest, console.Found{Kind: "trade", ID: t.ID, Text: t.Status})
		}
	}
	a.journal.mu.Unlock()
	out = slices.Concat(out, exact, rest)
	return out[:min(len(out), maxFound)], nil
}

// Proof implements console.Archive. The proof is verified before it is given out.
func (a archive) Proof(id string) ([]byte, error) {
	entries, err := a.cfg.History.Of("r/"+id, 0, 1)
	if err != nil || len(entries) == 0 {
		return nil, err
	}
	height := entries[0].Height
	if first := a.store.First(); height < first {
		return nil, fmt.Errorf("the proof of a record of block %d: %w", height, notKept(first))
	}
	cb, err := a.store.Block(height)
	if err != nil {
		return nil, err
	}
	told, err := a.cfg.History.Block(height)
	if err != nil {
		return nil, err
	}
	var outcomes [][]byte
	for _, e := range told {
		if e.Kind == history.KindRecord {
			if e.Unknown {
				return nil, fmt.Errorf("the outcomes of block %d: %w; ask another data aggregator, or aggregator chain prove", height, console.ErrNotKept)
			}
			outcomes = append(outcomes, e.Outcome)
		}
	}
	var raw [32]byte
	if _, err := hex.Decode(raw[:], []byte(id)); err != nil {
		return nil, fmt.Errorf("record id: %w", err)
	}
	turns, err := a.state.TurnsBelow(height, a.store.Turn)
	if err != nil {
		return nil, err
	}
	proof, err := ledger.ProveOf(cb.GetBlock(), outcomes, cb.GetCertificate(), raw, turns...)
	if err != nil {
		return nil, err
	}
	if _, err := ledger.VerifyProof(a.cfg.Genesis, proof); err != nil {
		return nil, fmt.Errorf("the proof of record %s does not hold: %w", id[:16], err)
	}
	return proof, nil
}
