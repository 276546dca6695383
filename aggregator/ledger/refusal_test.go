package ledger_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"

	"google.golang.org/protobuf/proto"
)

type record = *fairwattpb.Record

const mc = ledgertest.Centre

// refused are the refusals that a table brought about.
type refused struct{ code, reason string }

// TestRefusals reaches every place of the package that refuses a record, and
// checks that it has: a new rule without its own row fails the test.
func TestRefusals(t *testing.T) {
	var got []refused
	rows := len(checkRows) + len(answerCheckRows) + len(answerRows) + len(marketRows) + len(deliveryRows) + len(meterRows) + len(sweepRows) + len(robustRows) + len(memberRows) + len(moneyRows) + len(keyRows) + len(excuseRows) + len(equivocationRows) + len(slotRows) + len(sharingRows) + len(sharingCheckRows)
	for _, c := range slices.Concat(checkRows, answerCheckRows, sharingCheckRows) {
		t.Run("check/"+c.name, func(t *testing.T) { got = append(got, c.run(t)...) })
	}
	for _, c := range slices.Concat(marketRows, deliveryRows, meterRows, sweepRows, robustRows, memberRows, moneyRows, keyRows, answerRows, excuseRows, equivocationRows, slotRows, sharingRows) {
		t.Run("market/"+c.name, func(t *testing.T) { got = append(got, c.run(t)) })
	}
	if len(got) < rows+len(checkRows)+len(answerCheckRows)+len(sharingCheckRows) {
		return // some rows failed, or were not asked for
	}
	hits := make(map[site]int)
	sites := refusalSites(t)
	for _, r := range got {
		best := slices.MaxFunc(sites, func(a, b site) int { return a.fits(r) - b.fits(r) })
		if best.fits(r) < 0 {
			t.Errorf("no place refuses with %s: %q", r.code, r.reason)
		}
		hits[best]++
	}
	places := make(map[site]int)
	for _, s := range sites {
		places[s]++
	}
	for s, n := range places {
		if n -= unreachable[s.format]; hits[s] < n {
			t.Errorf("%d of %d places that refuse with %s, %q are reached: add a row", hits[s], n, s.code, s.format)
		}
	}
	for _, code := range codeConstants(t) {
		if !slices.ContainsFunc(got, func(r refused) bool { return r.code == code }) {
			t.Errorf("no row has the code %s", code)
		}
	}
}

// unreachable counts the places that no record can reach, by their text.
var unreachable = map[string]int{
	// In dispatch: the check lets no record without a body in.
	"body: none": 1,
	// In pay: the escrow is the volume at the highest price, rounded up, and so
	// never less than an exact amount. (A bill can pass what was paid.)
	"amount_micro: %d, the escrow holds %d": 1,
}

// A site is a call of refuse.
type site struct{ code, format string }

var verb = regexp.MustCompile(`%[a-z]`)

// fits returns how well a refusal fits the site: the literal part of its text,
// -1 when it does not fit.
func (s site) fits(r refused) int {
	literal := verb.Split(s.format, -1)
	for i := range literal {
		literal[i] = regexp.QuoteMeta(literal[i])
	}
	if s.code != r.code || !regexp.MustCompile("(?s)^"+strings.Join(literal, ".*")+"$").MatchString(r.reason) {
		return -1
	}
	return len(strings.Join(literal, ""))
}

func sources(t *testing.T) []*ast.File {
	t.Helper()
	names, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, n := range names {
		if !strings.HasSuffix(n.Name(), ".go") || strings.HasSuffix(n.Name(), "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), n.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

func refusalSites(t *testing.T) []site {
	t.Helper()
	codes := codeConstants(t)
	var sites []site
	for _, f := range sources(t) {
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if name, ok := call.Fun.(*ast.Ident); !ok || name.Name != "refuse" {
				return true
			}
			format, err := strconv.Unquote(call.Args[1].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			code := codes[call.Args[0].(*ast.SelectorExpr).Sel.Name]
			if code == "" {
				t.Fatalf("%q is refused with a code that package wire does not have", format)
			}
			sites = append(sites, site{code, format})
			return true
		})
	}
	if len(sites) < 50 {
		t.Fatalf("only %d places refuse: has refuse another name?", len(sites))
	}
	return sites
}

// codeConstants returns the refusal codes by the names of their constants.
func codeConstants(t *testing.T) map[string]string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "../../proto/wire/code.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	codes := make(map[string]string)
	ast.Inspect(f, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(v.Names[0].Name, "Code") {
			code, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			codes[v.Names[0].Name] = code
		}
		return true
	})
	return codes
}

// A checkRow is a record that may stand in no block: the check refuses it, and
// so does a builder.
type checkRow struct {
	name, code string
	sealed     func(*world) []byte
}

var checkRows = []checkRow{
	{"garbage", wire.CodeMalformed, func(*world) []byte { return []byte("garbage") }},
	{"not canonical", wire.CodeMalformed, func(w *world) []byte {
		payload, err := proto.Marshal(w.examples()["gate_change"])
		if err != nil {
			w.t.Fatal(err)
		}
		payload = append(payload, 0x28, 0) // simulated: false, which the canonical form leaves out
		sealed, err := seal.Seal(ledgertest.Key(seller), seller, seal.DomainRecord, w.State.ChainID(), payload)
		if err != nil {
			w.t.Fatal(err)
		}
		return sealed
	}},
	{"bad signature", wire.CodeBadSignature, func(w *world) []byte {
		flipped := w.sealed(seller, 1, gate(1, open))
		flipped[len(flipped)-1] ^= 1
		return flipped
	}},
	{"another chain", wire.CodeWrongChain, func(w *world) []byte {
		return newWorld(w.t, func(g *ledger.Genesis) { g.Name = "other" }).sealed(seller, 1, gate(1, open))
	}},
	{"stranger", wire.CodeUnknownSigner, func(w *world) []byte { return w.sealed("stranger", 1, gate(1, open)) }},
	{"an aggregator's gate", wire.CodeNotAllowed, func(w *world) []byte { return w.sealed("da-1", 1, gate(1, open)) }},
	{"a seller's rejoin", wire.CodeNotAllowed, func(w *world) []byte { return w.sealed(seller, 1, rejoin(1)) }},
	{"a withdrawal where no one is a second key", wire.CodeNotAllowed, func(w *world) []byte { return w.sealed(buyer, 1, withdrawal("w", 1)) }},
	{"rejoin in no epoch", wire.CodeMalformed, func(w *world) []byte { return w.sealed("da-2", 1, rejoin(0)) }},
	{"a warning where no witness counts", wire.CodeNotAllowed, func(w *world) []byte { return w.sealed(mc, 1, warned("hill", "wind", 1, 2)) }},
	{"an ask where there is no auction", wire.CodeNotAllowed, func(w *world) []byte { return w.sealed(seller, 1, ask("m", w.slot(1), 1, 1)) }},
	{"buyer's offer", wire.CodeNotAllowed, func(w *world) []byte { return w.sealed(buyer, 1, w.offer(1, 1)) }},
	{"own deposit", wire.CodeNotAllowed, func(w *world) []byte { return w.sealed(buyer, 1, deposit(buyer, 1, "r")) }},
	{"too large", wire.CodeTooLarge, func(w *world) []byte {
		long := gate(1, open)
		for range wire.MaxCauses {
			long.GetGateChange().Causes = append(long.GetGateChange().Causes, &fairwattpb.Cause{Text: strings.Repeat("x", wire.MaxTextBytes)})
		}
		return w.sealed(seller, 1, long)
	}},
	{"a meter where none is registered", wire.CodeNotAllowed, func(w *world) []byte {
		*w = *newWorld(w.t, ledgertest.FirstRules)
		return w.sealed(mc, 1, meterAdded(meterOf(seller, "new")))
	}},
	{"a tick where the first rules are", wire.CodeNotAllowed, func(w *world) []byte {
		*w = *newWorld(w.t, ledgertest.FirstRules)
		return w.sealed("da-1", 1, tick())
	}},
	{"a report where trust is the genesis'", wire.CodeNotAllowed, func(w *world) []byte {
		*w = *newWorld(w.t, func(g *ledger.Genesis) { g.Params.Trust = ledger.TrustFixed })
		return w.sealed("da-1", 1, report(1))
	}},
	{"a seller's report", wire.CodeNotAllowed, func(w *world) []byte { return w.sealed(seller, 1, report(1)) }},
	{"a report of no epoch", wire.CodeMalformed, func(w *world) []byte { return w.sealed("da-2", 1, report(0)) }},
	{"a report on oneself", wire.CodeMalformed, func(w *world) []byte { return w.sealed("da-2", 1, report(1, saw("da-2", 1, 0, 0, 0))) }},
	{"one aggregator retires another", wire.CodeNotAllowed, func(w *world) []byte { return w.sealed("da-2", 1, w.Retire("da-3")) }},
	{"a candidate's report", wire.CodeNotAllowed, func(w *world) []byte {
		w.must(mc, w.Admit("da-5"))
		return w.sealed("da-5", 1, report(1))
	}},
	{"a retired one's rejoin", wire.CodeUnknownSigner, func(w *world) []byte {
		w.must(mc, w.Admit("da-5"))
		w.must(mc, w.Retire("da-5"))
		return w.sealed("da-5", 1, rejoin(1))
	}},
	{"a rejoin with the key of before", wire.CodeBadSignature, func(w *world) []byte {
		w.must("da-2", w.Rekey("da-2", "da-2-2"))
		w.must("da-3", rejoin(1))
		payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(w.stamped("da-2", 2, rejoin(2)))
		if err != nil {
			w.t.Fatal(err)
		}
		sealed, err := seal.Seal(ledgertest.Key("da-2"), "da-2", seal.DomainRecord, w.State.ChainID(), payload)
		if err != nil {
			w.t.Fatal(err)
		}
		return sealed
	}},
	{"an admission without an address", wire.CodeMalformed, func(w *world) []byte {
		r := w.Admit("da-5")
		r.GetAdmit().Address = ""
		return w.sealed(mc, 1, r)
	}},
	{"a centre's address", wire.CodeMalformed, func(w *world) []byte {
		r := w.AdmitCentre("mc-b")
		r.GetAdmit().Address = "host:1"
		return w.sealed(mc, 1, r)
	}},
	{"an admission as a seller", wire.CodeMalformed, func(w *world) []byte {
		r := w.Admit("da-5")
		r.GetAdmit().Role = fairwattpb.Role_ROLE_SELLER
		return w.sealed(mc, 1, r)
	}},
	{"a seller's tick", wire.CodeNotAllowed, func(w *world) []byte { return w.sealed(seller, 1, tick()) }},
	{"an owner's own meter", wire.CodeNotAllowed, func(w *world) []byte { return w.sealed(seller, 1, meterAdded(meterOf(seller, "new"))) }},
	{"counter zero", wire.CodeMalformed, func(w *world) []byte { return w.sealed(seller, 0, gate(1, open)) }},
	{"a word of no one", wire.CodeMalformed, func(w *world) []byte { return w.sealed(seller, 1, ack("E12", "")) }},
	{"a centre's word", wire.CodeNotAllowed, func(w *world) []byte { return w.sealed(mc, 1, ack("E12", "Ada")) }},
	{"no body", wire.CodeMalformed, func(w *world) []byte { return w.sealed(seller, 1, &fairwattpb.Record{}) }},
	{"a bond where credit is the paper's", wire.CodeNotAllowed, func(w *world) []byte { return w.sealed(buyer, 1, bond(1)) }},
	{"a deposit into such a bond", wire.CodeNotAllowed, func(w *world) []byte { return w.sealed(mc, 1, bonded(buyer, 1, "r")) }},
	{"a seller's verdict", wire.CodeNotAllowed, func(w *world) []byte {
		*w = *newWorld(w.t, ledgertest.Robust)
		return w.sealed(seller, 1, verdict("token-1", sellerLied))
	}},
	{"an arbiter's offer", wire.CodeNotAllowed, func(w *world) []byte {
		*w = *newWorld(w.t, ledgertest.Robust)
		return w.sealed("judge-1", 1, w.offer(1, 1))
	}},
	{"a registration without possession", wire.CodeMalformed, func(w *world) []byte {
		*w = *newWorld(w.t, possession)
		return w.sealed(mc, 1, w.registration("new", "new"))
	}},
	{"a record by the key of before", wire.CodeKeyChanged, func(w *world) []byte {
		sealed := w.sealed(seller, 2, gate(1, open))
		w.must(seller, w.KeyChange(seller, "seller-1-2"))
		return sealed
	}},
	{"a record by a key before that", wire.CodeBadSignature, func(w *world) []byte {
		sealed := w.sealed(seller, 3, gate(1, open))
		w.twoKeyChanges()
		return sealed
	}},
	{"a revoked member's offer", wire.CodeRevoked, func(w *world) []byte {
		w.must(mc, ledgertest.Revoke(seller))
		return w.sealed(seller, 1, w.offer(1, 1))
	}},
	{"a suspended member's bill", wire.CodeSuspended, func(w *world) []byte {
		w.toDelivering()
		w.must(mc, ledgertest.Suspend(seller))
		return w.sealed(seller, 9, w.bill(3000, 2000, 400_000))
	}},
	{"a recovery key that is not registered", wire.CodeRecoveryWrong, func(w *world) []byte { return w.sealed(seller, 1, ledgertest.Recover(seller)) }},
	{"a recovery key of another", wire.CodeMalformed, func(w *world) []byte {
		w.recoverable(seller)
		return w.sealed(buyer, 1, ledgertest.Recover(seller))
	}},
	{"a recovery by the member's key", wire.CodeBadSignature, func(w *world) []byte {
		w.recoverable(seller)
		return w.sealedPayload(seller, canonicalOf(w.t, w.stamped(seller, 1, ledgertest.Recover(seller))))
	}},
	{"a revocation by the member's key", wire.CodeNotAllowed, func(w *world) []byte { return w.sealed(seller, 1, ledgertest.Revoke(seller)) }},
	{"a revocation twice by the recovery key", wire.CodeRevoked, func(w *world) []byte {
		w.recoverable(seller)
		w.must(seller, ledgertest.Recover(seller))
		return w.sealed(seller, 2, ledgertest.Recover(seller))
	}},
	{"a member's suspension by another", wire.CodeNotAllowed, func(w *world) []byte { return w.sealed(buyer, 1, ledgertest.Suspend(seller)) }},
	{"a centre's key change as a member's", wire.CodeNotAllowed, func(w *world) []byte { return w.sealed(mc, 1, w.KeyChange(mc, "mc-2")) }},
	{"one asks for another's money", wire.CodeNotAllowed, func(w *world) []byte {
		*w = *newWorld(w.t, ledgertest.TwoKeys)
		r := withdrawal("w", 1)
		r.GetWithdrawal().Member = seller
		return w.sealed(buyer, 1, r)
	}},
	{"one asks for another's bond", wire.CodeNotAllowed, func(w *world) []byte {
		*w = *newWorld(w.t, ledgertest.Robust)
		return w.sealed(buyer, 1, unbondOf(seller, 1))
	}},
	{"a centre's own bond", wire.CodeNotAllowed, func(w *world) []byte {
		*w = *newWorld(w.t, ledgertest.Robust)
		return w.sealed(mc, 1, unbond(1))
	}},
	{"replay", wire.CodeReplayed, func(w *world) []byte {
		sealed := w.sealed(seller, 1, gate(1, open))
		if _, err := w.Advance(sealed); err != nil {
			w.t.Fatal(err)
		}
		return sealed
	}},
	{"damaged replay window", wire.CodeReplayed, func(w *world) []byte {
		entries := append(w.State.Entries(), ledger.Entry{Key: []byte("window/" + seller), Value: []byte("damaged")})
		s, err := ledger.Restore(w.Genesis, 0, w.State.ChainID(), entries)
		if err != nil {
			w.t.Fatal(err)
		}
		w.State = s
		return w.sealed(seller, 1, gate(1, open))
	}},
}

func (w *world) sealed(sender string, counter uint64, r record) []byte {
	w.t.Helper()
	b, err := w.SealAs(sender, counter, r)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

func (c checkRow) run(t *testing.T) []refused {
	w := newWorld(t, nil)
	sealed := c.sealed(w)
	_, err := w.State.CheckRecord(sealed)
	r, ok := err.(*ledger.Refusal)
	if !ok || r.Code != c.code {
		t.Fatalf("%v, want %s", err, c.code)
	}
	if !strings.HasPrefix(r.Error(), c.code+": ") || r.Reason == "" {
		t.Errorf("the error is %q", r.Error())
	}
	st, dropped, err := w.State.Build(w.Fields(), [][]byte{sealed})
	if c.name == "damaged replay window" {
		if err == nil {
			t.Error("a block was built on a damaged state")
		}
		return []refused{{r.Code, r.Reason}, {r.Code, r.Reason}}
	}
	if err != nil || len(dropped) != 1 || len(st.Records()) != 0 || dropped[0].Refusal == nil || dropped[0].Refusal.Code != c.code {
		t.Fatalf("a block was built of it: %v, %v", dropped, err)
	}
	if dropped[0].ID != seal.ID(sealed) || !bytes.Equal(dropped[0].Sealed, sealed) {
		t.Error("the record left out is another one")
	}
	return []refused{{r.Code, r.Reason}, {dropped[0].Refusal.Code, dropped[0].Refusal.Reason}}
}

// A marketRow breaks one rule of the market: what leads up to it, the record,
// and the code of its outcome.
type marketRow struct {
	name, code string
	to         func(*world)
	sender     string
	record     func(*world) record
}

// strict makes one broken promise enough for the blacklist.
func strict(to func(*world)) func(*world) {
	return func(w *world) {
		g := ledgertest.Genesis(4, 2, 2)
		ledgertest.FirstRules(g) // a silent buyer breaks its promise while its requests stand
		g.Params.BlacklistBelowE6 = g.Params.CreditStartE6
		*w = *newWorld(w.t, func(to *ledger.Genesis) { *to = *g })
		to(w)
	}
}

// first begins again on a chain with the first rules.
func first(to func(*world)) func(*world) {
	return func(w *world) {
		*w = *newWorld(w.t, ledgertest.FirstRules)
		to(w)
	}
}

// toSecondToken gives the buyer a second Token, token-2, that lasts an hour.
func (w *world) toSecondToken() {
	w.must(buyer, w.request2())
	w.must(mc, w.response2())
}

func (w *world) request2() record {
	r := w.request(1000, 200_000)
	r.GetRequest().RequestId = "request-2"
	return r
}

func (w *world) response2() record {
	return w.response(func(r *fairwattpb.Response) {
		r.RequestId, r.Token.TokenId, r.Token.VolumeWh, r.Token.EscrowMicro = "request-2", "token-2", 1000, 200_000
		r.Token.ValidUntilMs = w.NowMs + 3_600_000
		a, _ := w.State.Account(buyer)
		r.Token.Kept, r.Token.Broken = a.Kept, a.Broken
	})
}

func pay2(change func(*fairwattpb.Pay)) record {
	return pay(func(p *fairwattpb.Pay) {
		p.TokenId, p.VolumeWh, p.AmountMicro = "token-2", 1000, 200_000
		if change != nil {
			change(p)
		}
	})
}

func (w *world) registration(id, key string) record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Registration{Registration: &fairwattpb.Registration{
		Id: id, Site: "site", Roles: []fairwattpb.Role{fairwattpb.Role_ROLE_BUYER}, PublicKey: string(ledgertest.PublicKey(key)),
	}}}
}

func readingOf(meter string, wh int64) record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Reading{Reading: &fairwattpb.Reading{TradeId: "token-1", Reading: at(meter, wh)}}}
}

// attestation seals a gate's word that a test may bend.
func (w *world) attestation(signer string, change func(*fairwattpb.GateAttestation)) []byte {
	w.t.Helper()
	chain := w.State.ChainID()
	a := &fairwattpb.GateAttestation{ChainId: chain[:], Device: seller, GateSeq: 1, State: open, IssuedMs: w.NowMs, ValidUntilMs: w.NowMs + 60_000}
	if change != nil {
		change(a)
	}
	payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(a)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.word(signer, payload)
}

func (w *world) word(signer string, payload []byte) []byte {
	w.t.Helper()
	sealed, err := seal.Seal(ledgertest.Key(signer), signer, seal.DomainAttestation, w.State.ChainID(), payload)
	if err != nil {
		w.t.Fatal(err)
	}
	return sealed
}

// startWith starts the trade with a bent attestation.
func startWith(signer string, change func(*world, *fairwattpb.GateAttestation)) func(*world) record {
	return func(w *world) record {
		return start(w.attestation(signer, func(a *fairwattpb.GateAttestation) { change(w, a) }), 1000)
	}
}

// on changes the meter or the trade of a delivery's record.
func on(r record, meter string) record {
	body := r.ProtoReflect()
	f := body.WhichOneof(body.Descriptor().Oneofs().ByName("body"))
	set(body, string(f.Name())+".reading.meter", meter)
	return r
}

func of(r record, trade string) record {
	set(r.ProtoReflect(), ledger.Kind(r)+".trade_id", trade)
	return r
}

func (c marketRow) run(t *testing.T) refused {
	w := newWorld(t, nil)
	if c.to != nil {
		c.to(w)
	}
	r := c.record(w)
	before := entries(w)
	st := w.step(c.sender, r)
	o := st.Outcomes()[0]
	if o.GetApplied() || o.GetCode() != c.code || o.GetReason() == "" {
		t.Fatalf("outcome %v, want %s", o, c.code)
	}
	// It changes nothing but its sender's replay window.
	after := entries(w)
	for key := range after {
		if before[key] != after[key] && key != "meta" && key != "window/"+c.sender {
			t.Errorf("a refused record changed %q", key)
		}
	}
	if len(st.Notices()) != 0 {
		t.Errorf("a refused record told %+v", st.Notices())
	}
	return refused{o.GetCode(), o.GetReason()}
}

// step advances the chain by one record.
func (w *world) step(sender string, r record) *ledger.Staged {
	w.t.Helper()
	sealed, err := w.Seal(sender, r)
	if err != nil {
		w.t.Fatal(err)
	}
	st, err := w.Advance(sealed)
	if err != nil {
		w.t.Fatal(err)
	}
	if totals := w.State.Totals(); !totals.Conserved {
		w.t.Fatalf("money not conserved: %+v", totals)
	}
	return st
}

// TestCodesAreDistinct: no two constants say the same.
func TestCodesAreDistinct(t *testing.T) {
	seen := make(map[string]string)
	for name, code := range codeConstants(t) {
		if other, ok := seen[code]; ok {
			t.Errorf("%s and %s are both %q", name, other, code)
		}
		seen[code] = name
	}
	if len(seen) < 30 {
		t.Errorf("%d codes", len(seen))
	}
}
