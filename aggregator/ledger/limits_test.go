package ledger_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// sealRaw seals a record as it is: every field is the test's.
func sealRaw(t testing.TB, w *world, r *fairwattpb.Record) []byte {
	t.Helper()
	payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := seal.Seal(ledgertest.Key(r.GetSender()), r.GetSender(), seal.DomainRecord, w.State.ChainID(), payload)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

// examples are valid records of every kind, by the name of their body.
func (w *world) examples() map[string]*fairwattpb.Record {
	chain := w.State.ChainID()
	bill, confirmed := w.bill(1, 1, 1), confirm(2, 1)
	bill.GetBill().PayId = make([]byte, 32)
	confirmed.GetConfirm().Reason = "why"
	registration := &fairwattpb.Record{Body: &fairwattpb.Record_Registration{Registration: &fairwattpb.Registration{
		Id: "new", Site: "site", Roles: []fairwattpb.Role{fairwattpb.Role_ROLE_SELLER}, PublicKey: string(ledgertest.PublicKey("new")),
	}}}
	reading := &fairwattpb.Record{Body: &fairwattpb.Record_Reading{Reading: &fairwattpb.Reading{TradeId: "token-1", Reading: at("m", 1)}}}
	changed := gate(1, blocked)
	changed.GetGateChange().Causes = []*fairwattpb.Cause{{Rule: "W01", Inputs: []*fairwattpb.CauseInput{{Name: "distance"}}}}
	held := hold(1, 1)
	held.GetHold().Causes[0].Inputs = []*fairwattpb.CauseInput{{Name: "gust"}}
	word := &fairwattpb.Record{Body: &fairwattpb.Record_Word{Word: &fairwattpb.Word{
		Kind: fairwattpb.WordKind_WORD_KIND_BLOCK, Rule: "B01", By: "Ada Lovelace", Why: "the roof", UntilMs: 1, Owner: "ada", CommandId: make([]byte, 32),
	}}}
	all := make(map[string]*fairwattpb.Record)
	for sender, records := range map[string][]*fairwattpb.Record{
		ledgertest.Centre: {registration, deposit(buyer, 1, "r"), w.response(nil), meterAdded(meterOf(seller, "m")), meterChanged("m", 1, meterOf(seller, "n")), reversal("d"), payout(buyer, "w"), meterRetired("m", 1), w.Admit("da-9"), warned("hill", "wind", 1, 2), shareBy(1, share{"m", 1}, share{"n", 9999}),
			ledgertest.Suspend(buyer), ledgertest.Reinstate(buyer), ledgertest.Revoke(buyer), ledgertest.ChangeMember(&fairwattpb.MemberChange{Id: buyer, Site: "site"})},
		seller:             {changed, w.offer(1, 1), start([]byte("a"), 1), held, resume([]byte("a"), 1), reading, bill, word, w.KeyChange(seller, "seller-1-2"), ask("m", w.slot(1), 1, 1), slotReading(at2("m", 1, 1), at2("m", 2, 1))},
		buyer:              {w.request(1, 1), pay(nil), confirmed, bond(1), unbond(1), appeal("token-1"), withdrawal("w", 1), release("token-1"), bid("m", w.slot(1), 1, 1)},
		ledgertest.Auditor: {approve("d")},
		"da-2":             {rejoin(1), tick(), report(1, saw("da-1", 1, 0, 0, 0)), w.Retire("da-2"), w.Rekey("da-2", "da-2-2"), w.Move("da-2", "host:1"), w.twoVotes("da-3", 1)},
		"judge-1":          {verdict("token-1", sellerLied), granted("g", buyer, 1)},
	} {
		for _, r := range records {
			r.ChainId, r.Sender, r.Counter, r.TimeMs = chain[:], sender, 1, w.NowMs
			ledgertest.Stamp(r, w.NowMs)
			all[ledger.Kind(r)] = r
		}
	}
	return all
}

// set changes one field of a message, named by its path; a number in the path
// is an index.
func set(m protoreflect.Message, path string, v any) {
	name, rest, deeper := strings.Cut(path, ".")
	f := m.Descriptor().Fields().ByName(protoreflect.Name(name))
	if f == nil {
		panic("no field " + name)
	}
	if f.IsList() && deeper {
		rest = strings.TrimPrefix(strings.TrimPrefix(rest, "0"), ".")
		if f.Message() != nil {
			set(m.Get(f).List().Get(0).Message(), rest, v)
			return
		}
	}
	if deeper {
		set(m.Mutable(f).Message(), rest, v)
		return
	}
	switch v := v.(type) {
	case string:
		m.Set(f, protoreflect.ValueOfString(v))
	case []byte:
		m.Set(f, protoreflect.ValueOfBytes(v))
	case nil:
		m.Clear(f)
	case int64:
		switch f.Kind() {
		case protoreflect.EnumKind:
			m.Set(f, protoreflect.ValueOfEnum(protoreflect.EnumNumber(v)))
		case protoreflect.Uint32Kind:
			m.Set(f, protoreflect.ValueOfUint32(uint32(v)))
		case protoreflect.Uint64Kind:
			m.Set(f, protoreflect.ValueOfUint64(uint64(v)))
		default:
			m.Set(f, protoreflect.ValueOfInt64(v))
		}
	}
}

// checked returns the refusal of an example with one field changed, nil when it
// passes.
func (w *world) checked(kind, path string, v any) *ledger.Refusal {
	w.t.Helper()
	r, ok := w.examples()[kind]
	if !ok {
		w.t.Fatalf("no example of a %s", kind)
	}
	set(r.ProtoReflect(), path, v)
	_, err := w.State.CheckRecord(sealRaw(w.t, w, r))
	if err == nil {
		return nil
	}
	return err.(*ledger.Refusal)
}

func (w *world) allowed(kind, path string, v any) {
	w.t.Helper()
	if r := w.checked(kind, path, v); r != nil {
		w.t.Errorf("%s: %.60v refused: %v", path, v, r)
	}
}

// malformed wants a refusal that names the field.
func (w *world) malformed(kind, path, field string, v any) {
	w.t.Helper()
	r := w.checked(kind, path, v)
	if r == nil || r.Code != wire.CodeMalformed || !strings.HasPrefix(r.Reason, field+": ") {
		w.t.Errorf("%s: %.60v: %v, want %s of %s", path, v, r, wire.CodeMalformed, field)
	}
}

func TestEveryExampleIsValid(t *testing.T) {
	w := newWorld(t, ledgertest.Witnessed)
	kinds := (&fairwattpb.Record{}).ProtoReflect().Descriptor().Oneofs().ByName("body").Fields()
	examples := w.examples()
	for i := range kinds.Len() {
		kind := string(kinds.Get(i).Name())
		if examples[kind] == nil {
			t.Fatalf("no example of a %s", kind)
		}
		if kind == "ask" {
			w = newWorld(t, ledgertest.Sharing)
			examples = w.examples()
		}
		if kind == "release" { // where the ledger answers
			w = newWorld(t, func(g *ledger.Genesis) { g.Params = g.Params.WithAnswers(ledger.AnswersByLedger) })
			examples = w.examples()
		}
		if _, err := w.State.CheckRecord(sealRaw(t, w, examples[kind])); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// TestNumbersHaveLimits takes each number of each record to both ends of its
// range and one beyond.
func TestNumbersHaveLimits(t *testing.T) {
	const (
		energy, price, money = ledger.MaxEnergyWh, ledger.MaxPriceMicroPerKWh, ledger.MaxMoneyMicro
		register, ms         = ledger.MaxRegisterWh, ledger.MaxTimeMs
		class                = ledger.MaxMeterClassE4
	)
	w := newWorld(t, ledgertest.Witnessed)
	for _, c := range []struct {
		kind, path string
		low, high  int64
	}{
		{"gate_change", "time_ms", 1, ms},
		{"registration", "registration.meter_class_e4", 0, class},
		{"deposit", "deposit.amount_micro", 1, money},
		{"gate_change", "gate_change.state", 1, 4},
		{"gate_change", "gate_change.valid_until_ms", 0, ms},
		{"word", "word.until_ms", 0, ms},
		{"meter_registration", "meter_registration.direction", 1, 3},
		{"meter_registration", "meter_registration.rated_w", 1, ledger.MaxRatedW},
		{"meter_registration", "meter_registration.class_e4", 0, class},
		{"meter_registration", "meter_registration.start_wh", 0, register},
		{"meter_change", "meter_change.old_end_wh", 0, register},
		{"meter_change", "meter_change.new.rated_w", 1, ledger.MaxRatedW},
		{"meter_retire", "meter_retire.end_wh", 0, register},
		{"offer", "offer.volume_wh", 0, energy},
		{"offer", "offer.price_micro_per_kwh", 1, price},
		{"offer", "offer.expires_ms", 1, ms},
		{"request", "request.volume_wh", 1, energy},
		{"request", "request.max_price_micro_per_kwh", 1, price},
		{"request", "request.expires_ms", 1, ms},
		{"response", "response.token.escrow_micro", 1, money},
		{"response", "response.token.volume_wh", 1, energy},
		{"response", "response.token.valid_until_ms", 1, ms},
		{"response", "response.quotes.0.price_micro_per_kwh", 1, price},
		{"response", "response.quotes.0.volume_wh", 0, energy},
		{"pay", "pay.volume_wh", 1, energy},
		{"pay", "pay.price_micro_per_kwh", 1, price},
		{"pay", "pay.amount_micro", 0, money},
		{"pay", "pay.buyer_reading.register_wh", 0, register},
		{"pay", "pay.buyer_reading.time_ms", 1, ms},
		{"start", "start.reading.register_wh", 0, register},
		{"hold", "hold.reading.register_wh", 0, register},
		{"resume", "resume.reading.register_wh", 0, register},
		{"reading", "reading.reading.register_wh", 0, register},
		{"bill", "bill.reading.register_wh", 0, register},
		{"bill", "bill.energy_wh", 0, energy},
		{"bill", "bill.amount_micro", 0, money},
		{"bill", "bill.available_wh", 0, energy},
		{"confirm", "confirm.reading.register_wh", 0, register},
		{"confirm", "confirm.energy_wh", 0, register},
		{"bond", "bond.amount_micro", 1, money},
		{"unbond", "unbond.amount_micro", 1, money},
		{"verdict", "verdict.finding", 1, 3},
		{"grant", "grant.amount_micro", 1, money},
		{"withdrawal", "withdrawal.amount_micro", 1, money},
		{"warning_notice", "warning_notice.until_ms", 2, 1 + 30*24*3_600_000},
		{"report", "report.links", 0, ledger.MaxDAs},
		{"report", "report.seen.0.taken", 0, 1_000_000},
		{"report", "report.seen.0.late", 0, 1_000_000},
		{"report", "report.seen.0.missed", 0, 1_000_000},
		{"report", "report.seen.0.given", 0, 1_000_000},
		{"report", "report.seen.0.overhead_us", 0, 60_000_000},
	} {
		_, field, inside := strings.Cut(c.path, ".")
		if !inside {
			field = c.path
		}
		field = strings.ReplaceAll(strings.ReplaceAll(field, ".0.", "."), "buyer_reading", "reading")
		field = strings.TrimPrefix(field, "new.")
		w.allowed(c.kind, c.path, c.low)
		w.allowed(c.kind, c.path, c.high)
		w.malformed(c.kind, c.path, field, c.high+1)
		if c.low > 0 || !strings.HasSuffix(c.path, "class_e4") && c.kind != "report" { // these are never negative on the wire
			w.malformed(c.kind, c.path, field, c.low-1)
		}
	}
	for _, kind := range []string{"gate_change", "offer"} {
		w.allowed(kind, "counter", int64(1))
		w.malformed(kind, "counter", "counter", int64(0))
	}
	w.allowed("gate_change", "gate_change.gate_seq", int64(1))
	w.malformed("gate_change", "gate_change.gate_seq", "gate_seq", int64(0))
}

// TestTextsHaveLimits does the same for ids, names, texts and bytes.
func TestTextsHaveLimits(t *testing.T) {
	w := newWorld(t, ledgertest.Witnessed)
	for _, path := range []string{
		"deposit.reference", "offer.offer_id", "request.request_id", "response.request_id", "response.token.token_id",
		"response.quotes.0.offer_id", "pay.token_id", "pay.offer_id", "pay.buyer_reading.meter", "start.trade_id",
		"start.reading.meter", "hold.trade_id", "hold.reading.meter", "resume.trade_id", "resume.reading.meter", "reading.trade_id",
		"meter_registration.meter", "meter_registration.serial", "meter_change.old", "meter_retire.meter",
		"reading.reading.meter", "bill.trade_id", "bill.reading.meter", "confirm.trade_id", "confirm.reading.meter",
		"appeal.trade_id", "verdict.trade_id", "grant.reference",
	} {
		kind, field, _ := strings.Cut(path, ".")
		field = strings.ReplaceAll(strings.ReplaceAll(field, ".0.", "."), "buyer_reading", "reading")
		for _, good := range []string{"a", "z", "A", "Z", "0", "9", ".", "_", ":", "-", strings.Repeat("x", 160)} {
			w.allowed(kind, path, good)
		}
		for _, bad := range []string{"", strings.Repeat("x", 161), "a/b", "`", "{", "@", "[", ";", " ", "é"} {
			w.malformed(kind, path, field, bad)
		}
	}
	for _, path := range []string{
		"meter_registration.owner", "meter_registration.site", "registration.id", "registration.site", "deposit.to", "response.token.buyer", "response.quotes.0.seller", "pay.seller", "grant.to", "report.seen.0.da", "warning_notice.area", "warning_notice.kind",
		"revoke.id", "suspend.id", "reinstate.id", "member_change.id", "equivocation.da",
	} {
		kind, field, _ := strings.Cut(path, ".")
		field = strings.ReplaceAll(field, ".0.", ".")
		for _, good := range []string{"a", "0-z", strings.Repeat("x", 64)} {
			w.allowed(kind, path, good)
		}
		for _, bad := range []string{"", "A", "a_b", strings.Repeat("x", 65)} {
			w.malformed(kind, path, field, bad)
		}
	}
	texts := map[string]string{"confirm.reason": "reason"}
	for _, kind := range []string{"gate_change", "hold"} {
		for _, field := range []string{"rule", "kind", "level", "text"} {
			texts[kind+".causes.0."+field] = "causes"
		}
		for _, field := range []string{"name", "value", "unit", "threshold"} {
			texts[kind+".causes.0.inputs.0."+field] = "causes.inputs"
		}
	}
	for path, field := range texts {
		kind, _, _ := strings.Cut(path, ".")
		w.allowed(kind, path, strings.Repeat("x", wire.MaxTextBytes))
		w.malformed(kind, path, field, strings.Repeat("x", wire.MaxTextBytes+1))
	}
	for _, kind := range []string{"start", "resume"} {
		w.allowed(kind, kind+".attestation", []byte{1})
		w.malformed(kind, kind+".attestation", "attestation", []byte{})
	}
	w.malformed("bill", "bill.pay_id", "pay_id", make([]byte, 31))
	w.malformed("bill", "bill.pay_id", "pay_id", make([]byte, 33))
	for _, kind := range []string{"appeal", "verdict"} {
		w.malformed(kind, kind+".text_hash", "text_hash", make([]byte, 31))
		w.malformed(kind, kind+".text_hash", "text_hash", make([]byte, 33))
	}
	w.malformed("warning_notice", "warning_notice.from_ms", "from_ms", int64(0))
	w.malformed("warning_notice", "warning_notice.source_hash", "source_hash", make([]byte, 31))
	w.malformed("warning_notice", "warning_notice.source_hash", "source_hash", make([]byte, 33))
	for _, kind := range []string{"start", "hold", "resume", "reading", "bill", "confirm"} {
		w.malformed(kind, kind+".reading", "reading", nil)
	}
	w.malformed("pay", "pay.buyer_reading", "reading", nil)
	w.malformed("meter_change", "meter_change.new", "new", nil)
	w.malformed("meter_registration", "meter_registration.public_key", "public_key", "ed25519:AAAA")
	w.allowed("meter_registration", "meter_registration.public_key", string(ledgertest.PublicKey("meter")))
	w.malformed("response", "response.token", "token", nil)
	w.malformed("registration", "registration.public_key", "public_key", "ed25519:AAAA")
	w.malformed("key_change", "key_change.new_key", "new_key", "ed25519:AAAA")
	for path, n := range map[string]int{
		"registration.possession": 64, "registration.recovery_hash": 32, "registration.payee_hash": 32,
		"member_change.recovery_hash": 32, "member_change.payee_hash": 32,
	} {
		kind, field, _ := strings.Cut(path, ".")
		w.allowed(kind, path, []byte{})
		w.allowed(kind, path, make([]byte, n))
		w.malformed(kind, path, field, make([]byte, n-1))
		w.malformed(kind, path, field, make([]byte, n+1))
	}
	w.malformed("key_change", "key_change.possession", "possession", make([]byte, 63))
	w.malformed("key_change", "key_change.possession", "possession", make([]byte, 65))
	w.malformed("revoke", "revoke.recovery_key", "recovery_key", make([]byte, 31))
	w.malformed("revoke", "revoke.recovery_key", "id", make([]byte, 32)) // a centre's
	for _, kind := range []string{"revoke", "suspend", "reinstate"} {
		w.allowed(kind, kind+".reason", "")
		w.allowed(kind, kind+".reason", "stolen")
		w.malformed(kind, kind+".reason", "reason", "a\nb")
	}
	w.malformed("member_change", "member_change.site", "roles", "") // nothing changes
	w.malformed("member_change", "member_change.site", "site", "A")
	for _, c := range []struct {
		roles []fairwattpb.Role
		good  bool
	}{
		{[]fairwattpb.Role{fairwattpb.Role_ROLE_BUYER}, true},
		{[]fairwattpb.Role{fairwattpb.Role_ROLE_SELLER, fairwattpb.Role_ROLE_BUYER}, true},
		{[]fairwattpb.Role{fairwattpb.Role_ROLE_BUYER, fairwattpb.Role_ROLE_SELLER}, false},
		{[]fairwattpb.Role{fairwattpb.Role_ROLE_MC}, false},
	} {
		r := w.examples()["member_change"]
		r.GetMemberChange().Site, r.GetMemberChange().Roles = "", c.roles
		if _, err := w.State.CheckRecord(sealRaw(t, w, r)); (err == nil) != c.good {
			t.Errorf("roles %v: %v", c.roles, err)
		}
	}
	for _, field := range []string{"withdrawal.member", "unbond.member"} {
		kind, _, _ := strings.Cut(field, ".")
		w.malformed(kind, field, "member", "A")
	}
}

// TestListsHaveLimits bounds what may be repeated.
func TestListsHaveLimits(t *testing.T) {
	w := newWorld(t, func(g *ledger.Genesis) { g.Params.MaxRecordBytes = 1 << 20 })
	cause, input := &fairwattpb.Cause{Rule: "W01"}, &fairwattpb.CauseInput{Name: "x"}
	quote := &fairwattpb.Quote{OfferId: "o", Seller: seller, PriceMicroPerKwh: 1}
	causes := func(n int) (list []*fairwattpb.Cause) {
		for range n {
			list = append(list, cause)
		}
		return list
	}
	inputs := func(n int) []*fairwattpb.Cause {
		c := &fairwattpb.Cause{Rule: "W01"}
		for range n {
			c.Inputs = append(c.Inputs, input)
		}
		return []*fairwattpb.Cause{c}
	}
	for _, c := range []struct {
		kind, field string
		most        int
		fill        func(r *fairwattpb.Record, n int)
	}{
		{"gate_change", "causes", wire.MaxCauses, func(r *fairwattpb.Record, n int) { r.GetGateChange().Causes = causes(n) }},
		{"hold", "causes", wire.MaxCauses, func(r *fairwattpb.Record, n int) { r.GetHold().Causes = causes(n) }},
		{"gate_change", "causes.inputs", wire.MaxCauseInputs, func(r *fairwattpb.Record, n int) { r.GetGateChange().Causes = inputs(n) }},
		{"hold", "causes.inputs", wire.MaxCauseInputs, func(r *fairwattpb.Record, n int) { r.GetHold().Causes = inputs(n) }},
		{"report", "seen", ledger.MaxDAs, func(r *fairwattpb.Record, n int) {
			for r.GetReport().Seen = nil; len(r.GetReport().Seen) < n; {
				r.GetReport().Seen = append(r.GetReport().Seen, saw(fmt.Sprintf("x-%03d", len(r.GetReport().Seen)), 1, 0, 0, 0))
			}
		}},
		{"response", "quotes", ledger.MaxQuotes, func(r *fairwattpb.Record, n int) {
			for r.GetResponse().Quotes = nil; len(r.GetResponse().Quotes) < n; {
				r.GetResponse().Quotes = append(r.GetResponse().Quotes, quote)
			}
		}},
	} {
		for n, good := range map[int]bool{0: true, c.most: true, c.most + 1: false} {
			r := w.examples()[c.kind]
			c.fill(r, n)
			_, err := w.State.CheckRecord(sealRaw(t, w, r))
			if good != (err == nil) || !good && !strings.HasPrefix(err.Error(), wire.CodeMalformed+": "+c.field+": ") {
				t.Errorf("%s: %d %s: %v", c.kind, n, c.field, err)
			}
		}
	}
	r := w.examples()["registration"]
	for _, roles := range [][]fairwattpb.Role{nil, {2, 1}, {1, 1}, {3}, {4}, {0}} {
		r.GetRegistration().Roles = roles
		if _, err := w.State.CheckRecord(sealRaw(t, w, r)); code(err) != wire.CodeMalformed || !strings.Contains(err.Error(), "roles: ") {
			t.Errorf("roles %v: %v", roles, err)
		}
	}
	r.GetRegistration().Roles = []fairwattpb.Role{1, 2}
	if _, err := w.State.CheckRecord(sealRaw(t, w, r)); err != nil {
		t.Errorf("both roles: %v", err)
	}
}

// TestRecordSize: a sealed record has max_record_bytes at most.
func TestRecordSize(t *testing.T) {
	size := len(sealRaw(t, newWorld(t, nil), newWorld(t, nil).examples()["hold"]))
	pad := func(w *world, n int) []byte {
		r := w.examples()["hold"]
		for i := range (n - size) / 300 {
			_ = i
			r.GetHold().Causes = append(r.GetHold().Causes, &fairwattpb.Cause{Text: strings.Repeat("x", 250)})
		}
		for len(sealRaw(t, w, r)) < n {
			r.GetHold().Causes[0].Text += "x"
		}
		return sealRaw(t, w, r)
	}
	const most = 2048
	w := newWorld(t, func(g *ledger.Genesis) { g.Params.MaxRecordBytes = most })
	if _, err := w.State.CheckRecord(pad(w, most)); err != nil {
		t.Errorf("%d bytes: %v", most, err)
	}
	if _, err := w.State.CheckRecord(pad(w, most+1)); code(err) != wire.CodeTooLarge {
		t.Errorf("%d bytes: %v", most+1, err)
	}
}

// TestSenderIsSigner: a record names who sealed it.
func TestSenderIsSigner(t *testing.T) {
	w := newWorld(t, nil)
	r := w.examples()["gate_change"]
	payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := seal.Seal(ledgertest.Key("seller-2"), "seller-2", seal.DomainRecord, w.State.ChainID(), payload)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.State.CheckRecord(sealed); code(err) != wire.CodeMalformed || !strings.Contains(err.Error(), "sender: ") {
		t.Errorf("seller-1's record in seller-2's seal: %v", err)
	}
}

// TestRoles says who may send which kind: every kind by a seller, a buyer, one
// who is both, and a centre.
func TestRoles(t *testing.T) {
	w := newWorld(t, func(g *ledger.Genesis) {
		ledgertest.Sharing(g)
		g.Members = append(g.Members, ledger.Member{ID: "both", Site: "site", Roles: []string{"seller", "buyer"}, PublicKey: ledgertest.PublicKey("both")})
	})
	for kind, may := range map[string]string{
		"registration": "mc", "deposit": "mc", "response": "mc",
		"gate_change": "seller-1 buyer-1 both", "word": "seller-1 buyer-1 both", "reading": "seller-1 buyer-1 both",
		"offer": "seller-1 both", "start": "seller-1 both", "hold": "seller-1 both", "resume": "seller-1 both", "bill": "seller-1 both",
		"ask": "seller-1 both", "bid": "buyer-1 both", "slot_reading": "seller-1 buyer-1 both", "sharing_terms": "mc",
		"request": "buyer-1 both", "pay": "buyer-1 both", "confirm": "buyer-1 both",
		"rejoin": "da-2", "report": "da-2", "equivocation": "da-2", "admit": "mc", "retire": "mc da-2", "rekey": "mc da-2", "move": "mc da-2",
	} {
		for _, sender := range []string{"mc", "seller-1", "buyer-1", "both", "da-2"} {
			r := w.examples()[kind]
			r.Sender = sender
			_, err := w.State.CheckRecord(sealRaw(t, w, r))
			want := "<nil>"
			if !strings.Contains(" "+may+" ", " "+sender+" ") {
				want = wire.CodeNotAllowed
			}
			if code(err) != want {
				t.Errorf("%s by %s: %v, want %s", kind, sender, err, want)
			}
		}
	}
}

// TestAmounts: money is energy times price in thousandths, an escrow rounded up
// and a bill rounded half even; a stated amount may be either neighbour.
func TestAmounts(t *testing.T) {
	for _, c := range []struct{ energy, price, escrow, bill int64 }{
		{0, 5, 0, 0},
		{1000, 200_000, 200_000, 200_000},
		{1000, 0, 0, 0},
		{1, 1, 1, 0},
		{1, 499, 1, 0},
		{1, 500, 1, 0}, // half, to the even 0
		{1, 501, 1, 1},
		{1, 1000, 1, 1},
		{1, 1001, 2, 1},
		{1, 1499, 2, 1},
		{1, 1500, 2, 2}, // half, to the even 2
		{1, 2500, 3, 2},
		{1, 2501, 3, 3},
		{ledger.MaxEnergyWh, ledger.MaxPriceMicroPerKWh, 1_000_000_000_000_000, 1_000_000_000_000_000},
	} {
		escrow, err := ledger.EscrowFor(c.energy, c.price)
		if err != nil || escrow != c.escrow {
			t.Errorf("escrow of %d Wh at %d: %d, %v; want %d", c.energy, c.price, escrow, err, c.escrow)
		}
		bill, err := ledger.BillAmount(c.energy, c.price)
		if err != nil || bill != c.bill {
			t.Errorf("bill of %d Wh at %d: %d, %v; want %d", c.energy, c.price, bill, err, c.bill)
		}
		low, high := c.energy*c.price/1000, (c.energy*c.price+999)/1000
		for amount, good := range map[int64]bool{low - 1: false, low: true, high: true, high + 1: false} {
			if got := ledger.Exact(amount, c.energy, c.price); got != good && amount >= 0 {
				t.Errorf("%d for %d Wh at %d: %v", amount, c.energy, c.price, got)
			}
		}
	}
	for _, c := range [][2]int64{{-1, 1}, {1, -1}, {ledger.MaxEnergyWh + 1, 1}, {1, ledger.MaxPriceMicroPerKWh + 1}} {
		if _, err := ledger.EscrowFor(c[0], c[1]); err == nil {
			t.Errorf("an escrow of %v", c)
		}
		if _, err := ledger.BillAmount(c[0], c[1]); err == nil {
			t.Errorf("a bill of %v", c)
		}
		if ledger.Exact(0, c[0], c[1]) {
			t.Errorf("0 is exact of %v", c)
		}
	}
	for _, amount := range []int64{-1, math.MinInt64, math.MaxInt64/1000 + 1, math.MaxInt64} {
		if ledger.Exact(amount, 1, 1) || ledger.Exact(amount, 0, 0) {
			t.Errorf("%d is exact", amount)
		}
	}
}

// TestTolerance: line loss, both classes, and a step at either end, rounded up.
func TestTolerance(t *testing.T) {
	p := ledger.DefaultParams() // step 1
	p.LossE4 = 300
	for _, c := range []struct {
		energy int64
		a, b   uint32
		want   int64
	}{
		{0, 100, 100, 2}, {1, 0, 0, 3}, {10_000, 0, 0, 302}, {10_000, 100, 0, 402}, {10_000, 100, 50, 452}, {10_001, 100, 100, 503},
		{2000, 100, 100, 102},
	} {
		if got := p.ToleranceWh(c.energy, c.a, c.b); got != c.want {
			t.Errorf("%d Wh, classes %d and %d: %d, want %d", c.energy, c.a, c.b, got, c.want)
		}
	}
	p.RegisterStepWh = 10
	if got := p.ToleranceWh(0, 0, 0); got != 20 {
		t.Errorf("step 10: %d", got)
	}
}

// TestSkew: a block's time may be skew_ms from a voter's clock, either way.
func TestSkew(t *testing.T) {
	p := ledger.DefaultParams()
	for d, good := range map[int64]bool{0: true, p.SkewMs: true, -p.SkewMs: true, p.SkewMs + 1: false, -p.SkewMs - 1: false} {
		if err := p.CheckSkew(1_000_000+d, 1_000_000); good != (err == nil) || !good && !strings.Contains(err.Error(), fmt.Sprintf("%d ms from", d)) {
			t.Errorf("%d ms: %v", d, err)
		}
	}
}
