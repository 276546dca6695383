package ledger

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"fairwatt/proto/fairwattpb"
)

// describer lists the fields of a value as "name type", for the format's
// documentation.
type describer struct{ lines []string }

func (d *describer) u32(name string, _ *uint32) { d.lines = append(d.lines, name+" u32") }
func (d *describer) u64(name string, _ *uint64) { d.lines = append(d.lines, name+" u64") }
func (d *describer) i64(name string, _ *int64)  { d.lines = append(d.lines, name+" i64") }
func (d *describer) str(name string, _ *string) { d.lines = append(d.lines, name+" str") }
func (d *describer) flag(name string, _ *bool)  { d.lines = append(d.lines, name+" flag") }

func (d *describer) tail(_ func() bool, fields func()) {
	n := len(d.lines)
	fields()
	d.lines[n] = "[" + d.lines[n]
	d.lines[len(d.lines)-1] += "]"
}

// StateValues describes every kind of value of the state, under its key.
func StateValues() [][2]string {
	var out [][2]string
	for _, v := range []struct {
		key string
		v   value
	}{
		{keyMeta, &meta{}},
		{keyParticipant + "ID", &Participant{}},
		{keyAccount + "ID", &Account{}},
		{keyGate + "DEVICE", &Gate{}},
		{keyMeter + "METER", &meter{}},
		{keyOffer + "SELLER", &Offer{}},
		{keyRequest + "BUYER/REQUEST", &Request{}},
		{keyTrade + "TRADE", &Trade{}},
		{keyKept + "SELLER", &kept{}},
		{keyListed + "ID", &Listing{}},
		{keyLoss + "ID/TRADE", &loss{}},
		{keyPair + "ID/ID", &pair{}},
		{keyCase + "TRADE", &Case{}},
		{keyGrant + "HEX", &grant{}},
		{keyReport + "AGGREGATOR", &reported{}},
		{keyTrust + "AGGREGATOR", &standing{}},
		{keyGuilt + "AGGREGATOR", &guilt{}},
		{keyTree + "AGGREGATOR", &branch{}},
		{keyRebuilt, &rebuilt{}},
		{keyMember + "AGGREGATOR", &seat{}},
		{keyChange + "ID", &agreed{}},
		{keyHazard + "DEVICE", &hazard{}},
		{keySighting + "SITE/KIND", &sighting{}},
		{keyWarning + "AREA/KIND", &warning{}},
		{keyEarned + "SELLER", &earned{}},
		{keyTerms, &SharingTerms{}},
		{keySlot + "START/" + slotHead, &Slot{}},
		{keySlot + "START/" + slotAsk + "METER", &SlotOrder{}},
		{keySlot + "START/" + slotBid + "METER", &SlotOrder{}},
		{keySlot + "START/" + slotMeters + "METER", &SlotMeter{}},
		{keySlot + "START/" + slotGate + "SELLER", &slotSeller{}},
	} {
		var d describer
		v.v.fields(&d)
		text := ""
		for i, l := range d.lines {
			if i > 0 {
				text += ", "
			}
			text += l
		}
		out = append(out, [2]string{v.key, text})
	}
	return out
}

// DecodeAny decodes b as every kind of value and encodes it again.
func DecodeAny(b []byte, check func(again []byte)) {
	for _, v := range []value{&meta{}, &Participant{}, &Account{}, &Gate{}, &meter{}, &Offer{}, &Request{}, &Trade{}, &kept{}, &Listing{}, &loss{}, &pair{}, &Case{}, &grant{}, &reported{}, &standing{}, &branch{}, &rebuilt{}, &seat{}, &agreed{}, &hazard{}, &sighting{}, &warning{}, &earned{}, &SharingTerms{}, &Slot{}, &SlotOrder{}, &SlotMeter{}, &slotSeller{}} {
		if decodeValue(b, v) == nil {
			check(encodeValue(v))
		}
	}
}

// told writes tails that say nothing, too.
type told struct{ *encoder }

func (e told) tail(_ func() bool, fields func()) { fields() }

// EmptyTails encodes each kind of value that has a tail with a tail of zeros, and
// returns by its key what decoding that says.
func EmptyTails() map[string]error {
	out := make(map[string]error)
	for key, v := range map[string]value{keyMeta: &meta{}, keyAccount: &Account{}, keyMeter: &meter{}, keyTrade: &Trade{}, keyLoss: &loss{}, keySlot + slotHead: &Slot{}, keySlot + slotBid: &SlotOrder{}} {
		e := told{&encoder{}}
		v.fields(e)
		if plain := encodeValue(v); len(plain) < len(e.b) {
			out[key] = decodeValue(e.b, v)
		}
	}
	return out
}

// AlteredOrder is the bytes of an order, changed.
func AlteredOrder(b []byte, change func(*SlotOrder)) []byte {
	var o SlotOrder
	if err := decodeValue(b, &o); err != nil {
		panic(err)
	}
	change(&o)
	return encodeValue(&o)
}

// Sums are those of a state's money, or what they move by.
type Sums struct{ Deposited, Wallets, Escrow, Bonds, Fund, Held int64 }

// Conserves tells what the rule of conservation says of a block that moves the sums and
// writes entries. A nil value removes its entry.
func (s *State) Conserves(by Sums, entries map[string][]byte) error {
	m := s.meta
	m.DepositedMicro += by.Deposited
	m.WalletsMicro += by.Wallets
	m.EscrowMicro += by.Escrow
	m.BondsMicro += by.Bonds
	m.FundMicro += by.Fund
	m.HeldMicro += by.Held
	var changes []Change
	for key, value := range entries {
		changes = append(changes, Change{Key: []byte(key), Value: value, Delete: value == nil})
	}
	return s.conserves(&m, changes)
}

// Exact is the rule a stated amount has to keep.
func Exact(amountMicro, energyWh, priceMicroPerKWh int64) bool {
	return exact(amountMicro, energyWh, priceMicroPerKWh)
}

// flat lists the fields of a value by name.
type flat struct {
	names []string
	text  map[string]string
}

func (f *flat) put(name string, v any, zero bool) {
	f.names = append(f.names, name)
	if !zero {
		f.text[name] = fmt.Sprint(v)
	}
}

func (f *flat) u32(name string, v *uint32) { f.put(name, *v, *v == 0) }
func (f *flat) u64(name string, v *uint64) { f.put(name, *v, *v == 0) }
func (f *flat) i64(name string, v *int64)  { f.put(name, *v, *v == 0) }
func (f *flat) flag(name string, v *bool)  { f.put(name, *v, !*v) }
func (f *flat) str(name string, v *string) {
	if name == "pay_id" || name == "order" || name == "strikes" || name == "benched" {
		f.put(name, fmt.Sprintf("%d bytes", len(*v)), *v == "")
		return
	}
	f.put(name, strconv.Quote(*v), *v == "")
}

func (f *flat) tail(_ func() bool, fields func()) { fields() }

func valueFor(key string) value {
	switch kindOf(key + "/") {
	case keyParticipant:
		return &Participant{}
	case keyAccount:
		return &Account{}
	case keyGate:
		return &Gate{}
	case keyMeter:
		return &meter{}
	case keyOffer:
		return &Offer{}
	case keyRequest:
		return &Request{}
	case keyTrade:
		return &Trade{}
	case keyKept:
		return &kept{}
	case keyListed:
		return &Listing{}
	case keyLoss:
		return &loss{}
	case keyPair:
		return &pair{}
	case keyCase:
		return &Case{}
	case keyGrant:
		return &grant{}
	case keyMeta + "/":
		return &meta{}
	}
	return nil
}

// DescribeChange writes what became of a key, field by field, "" when nothing
// but the height, the time or the count of records did. since writes a time.
func DescribeChange(key string, was, now []byte, had, deleted bool, since func(int64) string) string {
	name := key
	if strings.HasPrefix(key, keyDeadline) {
		ms, what, id, err := parseDeadlineKey(key)
		if err != nil {
			return err.Error()
		}
		name = fmt.Sprintf("deadline %c %s %s", what, id, since(ms))
	}
	if deleted {
		return name + " ends"
	}
	v, old := valueFor(key), valueFor(key)
	if v == nil {
		return fmt.Sprintf("%s = %q", name, now)
	}
	if had {
		if err := decodeValue(was, old); err != nil {
			return err.Error()
		}
	}
	if err := decodeValue(now, v); err != nil {
		return err.Error()
	}
	a, b := flat{text: map[string]string{}}, flat{text: map[string]string{}}
	old.fields(&a)
	v.fields(&b)
	var fields []string
	for _, f := range b.names {
		x, y := a.text[f], b.text[f]
		if x == y || key == keyMeta && (f == "height" || f == "time_ms") {
			continue
		}
		if strings.HasSuffix(f, "_ms") && f != "held_total_ms" {
			x, y = at(x, since), at(y, since)
		}
		switch {
		case !had || x == "":
			fields = append(fields, f+" "+y)
		case y == "":
			fields = append(fields, f+" "+x+" -> none")
		default:
			fields = append(fields, f+" "+x+" -> "+y)
		}
	}
	if len(fields) == 0 {
		return ""
	}
	return name + ": " + strings.Join(fields, ", ")
}

func at(ms string, since func(int64) string) string {
	n, err := strconv.ParseInt(ms, 10, 64)
	if err != nil {
		return ms
	}
	return since(n)
}

// altered decodes a value, changes it and encodes it again.
func altered[T any, P interface {
	*T
	value
}](b []byte, change func(*T)) []byte {
	var v T
	if err := decodeValue(b, P(&v)); err != nil {
		panic(err)
	}
	change(&v)
	return encodeValue(P(&v))
}

// AlteredAccount and AlteredTrade change an entry's value.
func AlteredAccount(b []byte, change func(*Account)) []byte { return altered(b, change) }
func AlteredTrade(b []byte, change func(*Trade)) []byte     { return altered(b, change) }

// AlteredSums changes the sums of money that the state keeps.
func AlteredSums(b []byte, deposited, wallets, escrow int64) []byte {
	return altered(b, func(m *meta) {
		m.DepositedMicro += deposited
		m.WalletsMicro += wallets
		m.EscrowMicro += escrow
	})
}

// ViewOfProof is the form for people that fits the other parts of a proof.
func ViewOfProof(raw []byte) ([]byte, error) {
	var p proofFile
	if err := json.Unmarshal(raw, &p); err != nil {
		return nil, err
	}
	parts, err := p.parts()
	if err != nil {
		return nil, err
	}
	return parts.decoded()
}

// BookIsNew tells whether the book that followed the blocks is the one that is made anew from
// the state, and how many offers it has.
func (s *State) BookIsNew() (same bool, offers int) {
	x := s.newExecution(s.meta.TimeMs)
	anew := x.newBook()
	return s.book.period == anew.period && slices.Equal(s.book.lines, anew.lines), len(anew.lines)
}

// AnswersBothWays lets records have their effect in a block, and hands over after each what
// the book answers a buyer, and what a look at every standing offer does.
func (s *State) AnswersBothWays(timeMs int64, sealed [][]byte, buyers []string, mostMicro int64, see func(byBook, byAll []*fairwattpb.Quote)) error {
	x := s.newExecution(timeMs)
	x.sweep()
	for i := range len(sealed) + 1 {
		for _, buyer := range buyers {
			see(x.quotes(buyer, mostMicro), x.quotesOfAll(buyer, mostMicro))
		}
		if i == len(sealed) {
			break
		}
		c, err := s.CheckRecord(sealed[i])
		if err != nil {
			return err
		}
		x.apply(i, c)
	}
	return x.err
}

func (x *execution) quotesOfAll(buyer string, mostMicro int64) (out []*fairwattpb.Quote) {
	keys := make(map[string]bool)
	for key := range x.state.tree.kinds[keyOffer] {
		keys[key] = true
	}
	for key := range x.overlay {
		keys[key] = kindOf(key) == keyOffer
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		var o Offer
		if !keys[key] || !x.get(key, &o) || o.PriceMicroPerKWh > mostMicro {
			continue
		}
		if volume, a, _ := x.forSale(&o, buyer, ""); volume > 0 {
			out = append(out, &fairwattpb.Quote{OfferId: o.ID, Seller: o.Seller, PriceMicroPerKwh: o.PriceMicroPerKWh, VolumeWh: volume, CreditE6: a.CreditE6})
		}
	}
	slices.SortFunc(out, func(a, b *fairwattpb.Quote) int {
		return cmp.Or(cmp.Compare(a.PriceMicroPerKwh, b.PriceMicroPerKwh), cmp.Compare(b.CreditE6, a.CreditE6),
			cmp.Compare(a.OfferId, b.OfferId), cmp.Compare(a.Seller, b.Seller))
	})
	return out[:min(len(out), MaxLedgerQuotes)]
}

// ClosedOffers are entries of n sellers that offer at the least price and whose gates are
// closed.
func ClosedOffers(p Params, n int, expiresMs int64) (out []Entry) {
	for i := range n {
		id := fmt.Sprintf("closed-%d", i)
		a := p.newAccount()
		for _, e := range []struct {
			key string
			v   value
		}{
			{keyAccount + id, &a},
			{keyGate + id, &Gate{Seq: 1, State: fairwattpb.GateState_GATE_STATE_BLOCKED, ChangedMs: 1}},
			{keyOffer + id, &Offer{ID: "o", Seller: id, VolumeWh: 1000, PriceMicroPerKWh: 1, ExpiresMs: expiresMs}},
		} {
			out = append(out, Entry{[]byte(e.key), encodeValue(e.v)})
		}
	}
	return out
}
