package ledger

import (
	"crypto/ed25519"
	"fmt"
	"strings"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/person"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// A Checked is a record that passed the check. Record aliases nothing; Sealed is
// the caller's slice.
type Checked struct {
	ID     [32]byte
	Sealed []byte
	Record *fairwattpb.Record
}

// CheckRecord returns the record when it may stand in the next block, and
// otherwise a [*Refusal]. It checks size, envelope, signer,
// signature, encoding, chain, role, every field's limits, and that the counter
// is new. Only the last can change with the state, so a caller may keep the
// result by ID and leave the replay check to [State.Build]. It is safe for
// concurrent use.
func (s *State) CheckRecord(sealed []byte) (*Checked, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c, refusal := s.decodeRecord(sealed)
	if refusal == nil {
		refusal = s.checkSignature(c)
	}
	if refusal == nil {
		refusal = s.checkFresh(c)
	}
	if refusal != nil {
		return nil, refusal
	}
	return c, nil
}

func (s *State) checkSignature(c *Checked) *Refusal {
	if key := recoveryKey(c.Record); key != nil {
		return s.checkRecovery(c, key)
	}
	_, _, err := seal.Open(c.Sealed, seal.DomainRecord, s.chain, s.key)
	if err != nil {
		return s.badSignature(c)
	}
	return nil
}

func (s *State) checkFresh(c *Checked) *Refusal {
	w, err := decodeWindow(s.tree.get(windowKey(c.Record)))
	if err != nil {
		return refuse(wire.CodeReplayed, "%v", err)
	}
	if !w.Accepts(c.Record.Counter) {
		return replayed(&w, c)
	}
	return nil
}

func replayed(w *seal.Window, c *Checked) *Refusal {
	return refuse(wire.CodeReplayed, "counter %d of %q was used, or is too far behind %d", c.Record.Counter, c.Record.Sender, w.Last())
}

func decodeWindow(b []byte, ok bool) (seal.Window, error) {
	var w seal.Window
	if !ok {
		return w, nil
	}
	err := w.UnmarshalBinary(b)
	return w, err
}

// key returns the public key of a participant or a data aggregator. No one is
// both.
func (s *State) key(signer string) (ed25519.PublicKey, bool) {
	if k, ok := s.roster.signers[signer]; ok {
		return k, true
	}
	if k, ok := s.arbiters[signer]; ok {
		return k, true
	}
	k, ok := s.keys[signer]
	return k, ok
}

// aggregator stands for every data aggregator in the check.
var aggregator = &Participant{Aggregator: true}

// candidate stands for every data aggregator that is not a member yet.
var candidate = &Participant{Candidate: true}

// arbiter stands for every arbiter.
var arbiter = &Participant{Arbiter: true}

func (s *State) sender(signer string) (*Participant, bool) {
	if _, ok := s.roster.signers[signer]; ok {
		if s.roster.votes(s.roster.places[signer]) {
			return aggregator, true
		}
		return candidate, true
	}
	if s.auditors[signer] {
		return auditor, true
	}
	if _, ok := s.arbiters[signer]; ok {
		return arbiter, true
	}
	p, ok := s.participants[signer]
	return p, ok
}

// decodeRecord is the check without signature and replay.
func (s *State) decodeRecord(sealed []byte) (*Checked, *Refusal) {
	if len(sealed) > s.genesis.Params.MaxRecordBytes {
		return nil, refuse(wire.CodeTooLarge, "%d bytes, at most %d", len(sealed), s.genesis.Params.MaxRecordBytes)
	}
	signer, payload, err := seal.Peek(sealed)
	if err != nil {
		return nil, refuse(wire.CodeMalformed, "%v", err)
	}
	participant, ok := s.sender(signer)
	if !ok {
		return nil, refuse(wire.CodeUnknownSigner, "%q is not registered", signer)
	}
	r := &fairwattpb.Record{}
	if err := unmarshal(payload, r); err != nil {
		return nil, refuse(wire.CodeMalformed, "%v", err)
	}
	if string(r.ChainId) != string(s.chain[:]) {
		return nil, refuse(wire.CodeWrongChain, "chain_id is of another chain")
	}
	if err := validateRecord(r, signer); err != nil {
		return nil, refuse(wire.CodeMalformed, "%v", err)
	}
	if r := participant.outside(r); r != nil {
		return nil, r
	}
	if ofMeters(r) && !s.genesis.Params.byMeters() {
		return nil, refuse(wire.CodeNotAllowed, "a %s: this chain's settlement is %q, meters are registered with %q", Kind(r), s.genesis.Params.Settlement, SettleByMeters)
	}
	if ofRobust(r) && !s.genesis.Params.robust() {
		return nil, refuse(wire.CodeNotAllowed, "a %s: this chain's credit is %q, bonds and verdicts belong to %q", Kind(r), s.genesis.Params.Credit, CreditRobust)
	}
	if ofMoney(r) && s.genesis.Money == nil {
		return nil, refuse(wire.CodeNotAllowed, "a %s: the genesis of this chain names no auditors, so money cannot leave it", Kind(r))
	}
	if p := &s.genesis.Params; ofLedger(r) && !p.byLedger() {
		return nil, refuse(wire.CodeNotAllowed, "a %s: this chain's answers are %q, choices and lots belong to %q", Kind(r), p.Answers, AnswersByLedger)
	} else if r.GetPay() != nil && p.byLedger() && !ofLedger(r) {
		return nil, refuse(wire.CodeNotAllowed, "a pay of one offer: this chain's answers are %q, a payment names choices", p.Answers)
	}
	if r.GetWarningNotice() != nil && !s.genesis.Params.witnessed() {
		return nil, refuse(wire.CodeNotAllowed, "a warning_notice: this chain's excuses are %q, a witness counts with %q", s.genesis.Params.Excuses, ExcusesWitnessed)
	}
	if ofSlots(r) && !s.genesis.Params.bySlots() {
		return nil, refuse(wire.CodeNotAllowed, "a %s: this chain's mechanism is %q, slots belong to %q and %q", Kind(r), s.genesis.Params.Mechanism, MechanismAuction, MechanismSharing)
	}
	if r.GetSharingTerms() != nil && !s.genesis.Params.sharing() {
		return nil, refuse(wire.CodeNotAllowed, "sharing_terms: this chain's mechanism is %q, they belong to %q", s.genesis.Params.Mechanism, MechanismSharing)
	}
	if r.GetTick() != nil && s.genesis.Params.Settlement == SettleFirst {
		return nil, refuse(wire.CodeNotAllowed, "a tick: the first rules know none")
	}
	if (r.GetReport() != nil || r.GetEquivocation() != nil) && !s.genesis.Params.byReports() {
		return nil, refuse(wire.CodeNotAllowed, "a %s: trust is that of the genesis on this chain", Kind(r))
	}
	if r.GetRegistration() != nil && s.genesis.Params.Possession && len(r.GetRegistration().Possession) == 0 {
		return nil, refuse(wire.CodeMalformed, "possession: want 64 bytes, the key's word that it is %q's (agent enroll makes it)", r.GetRegistration().Id)
	}
	if !mayRecord(participant, r) {
		return nil, refuse(wire.CodeNotAllowed, "%q may not send a %s", signer, Kind(r))
	}
	return &Checked{ID: seal.ID(sealed), Sealed: sealed, Record: r}, nil
}

// Kind returns the name of a record's body, e.g. "gate_change"; empty when it
// has none.
func Kind(r *fairwattpb.Record) string {
	m := r.ProtoReflect()
	if f := m.WhichOneof(m.Descriptor().Oneofs().ByName("body")); f != nil {
		return string(f.Name())
	}
	return ""
}

// ofRobust tells whether a record is about bonds or cases.
func ofRobust(r *fairwattpb.Record) bool {
	switch b := r.Body.(type) {
	case *fairwattpb.Record_Bond, *fairwattpb.Record_Unbond, *fairwattpb.Record_Appeal, *fairwattpb.Record_Verdict, *fairwattpb.Record_Grant:
		return true
	case *fairwattpb.Record_Deposit:
		return b.Deposit.GetBond()
	}
	return false
}

// mayRecord says which role may send which kind.
func mayRecord(p *Participant, r *fairwattpb.Record) bool {
	switch b := r.Body.(type) {
	case *fairwattpb.Record_Response:
		return p.Centre || p.Buyer && b.Response.Buyer == r.Sender
	case *fairwattpb.Record_Registration, *fairwattpb.Record_Deposit,
		*fairwattpb.Record_Reversal, *fairwattpb.Record_Payout, *fairwattpb.Record_WarningNotice, *fairwattpb.Record_SharingTerms,
		*fairwattpb.Record_MeterRegistration, *fairwattpb.Record_MeterChange, *fairwattpb.Record_MeterRetire:
		return p.Centre
	case *fairwattpb.Record_GateChange, *fairwattpb.Record_Reading, *fairwattpb.Record_Word:
		return p.Seller || p.Buyer
	case *fairwattpb.Record_Bond, *fairwattpb.Record_Appeal:
		return p.Seller || p.Buyer
	case *fairwattpb.Record_Unbond:
		return ofMember(p, r.GetUnbond().Member)
	case *fairwattpb.Record_Verdict, *fairwattpb.Record_Grant:
		return p.Arbiter
	case *fairwattpb.Record_Approval:
		return p.Auditor
	case *fairwattpb.Record_Withdrawal:
		return p.Centre || ofMember(p, r.GetWithdrawal().Member)
	case *fairwattpb.Record_KeyChange:
		return p.Seller || p.Buyer
	case *fairwattpb.Record_Revoke:
		return p.Centre || (p.Seller || p.Buyer) && recoveryKey(r) != nil
	case *fairwattpb.Record_Suspend, *fairwattpb.Record_Reinstate, *fairwattpb.Record_MemberChange:
		return p.Centre
	case *fairwattpb.Record_Tick, *fairwattpb.Record_Report, *fairwattpb.Record_Equivocation:
		return p.Aggregator
	case *fairwattpb.Record_Rejoin:
		return p.Aggregator || p.Candidate
	case *fairwattpb.Record_Admit:
		return p.Centre
	case *fairwattpb.Record_Retire, *fairwattpb.Record_Rekey, *fairwattpb.Record_Move:
		return p.Centre || changed(r) == r.Sender && (p.Aggregator || p.Candidate)
	case *fairwattpb.Record_Offer, *fairwattpb.Record_Ask:
		return p.Seller
	case *fairwattpb.Record_Start, *fairwattpb.Record_Hold, *fairwattpb.Record_Resume, *fairwattpb.Record_Bill:
		return p.Seller || p.Sold
	case *fairwattpb.Record_Request, *fairwattpb.Record_Bid:
		return p.Buyer
	case *fairwattpb.Record_SlotReading:
		return p.Seller || p.Buyer || p.Sold || p.Bought
	case *fairwattpb.Record_Pay, *fairwattpb.Record_Release, *fairwattpb.Record_Confirm:
		return p.Buyer || p.Bought
	}
	return false
}

// limits collects the first field outside its limits.
type limits struct{ err error }

func (l *limits) check(ok bool, field, want string) {
	if l.err == nil && !ok {
		l.err = fmt.Errorf("%s: want %s", field, want)
	}
}

// maxIDBytes bounds the ids of offers, requests, Tokens and meters: two names
// and a number.
const maxIDBytes = 160

func (l *limits) id(field, v string) {
	ok := len(v) > 0 && len(v) <= maxIDBytes && !strings.ContainsFunc(v, notOfAnID)
	l.check(ok, field, "1 to 160 of a-z, A-Z, 0-9, '.', '_', ':' and '-'")
}

func notOfAnID(r rune) bool {
	letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
	return !letter && r != '.' && r != '_' && r != ':' && r != '-'
}

func (l *limits) name(field, v string) {
	l.check(seal.ValidName(v), field, "1 to 64 of a-z, 0-9 and '-'")
}

func (l *limits) text(field, v string) {
	l.check(len(v) <= wire.MaxTextBytes, field, "at most 512 bytes")
}

func (l *limits) between(field string, v, low, high int64) {
	if l.err == nil && (v < low || v > high) {
		l.err = fmt.Errorf("%s: %d, want %d to %d", field, v, low, high)
	}
}

func (l *limits) time(field string, v int64) { l.between(field, v, 1, MaxTimeMs) }

func (l *limits) reading(r *fairwattpb.MeterReading) {
	l.check(r != nil, "reading", "a meter reading")
	if r != nil {
		l.id("reading.meter", r.Meter)
		l.between("reading.register_wh", r.RegisterWh, 0, MaxRegisterWh)
		l.time("reading.time_ms", r.TimeMs)
	}
}

func (l *limits) causes(causes []*fairwattpb.Cause) {
	l.check(len(causes) <= wire.MaxCauses, "causes", "at most 32")
	for _, c := range causes {
		for _, text := range []string{c.Rule, c.Kind, c.Level, c.Text} {
			l.text("causes", text)
		}
		l.check(len(c.Inputs) <= wire.MaxCauseInputs, "causes.inputs", "at most 32")
		for _, in := range c.Inputs {
			for _, text := range []string{in.Name, in.Value, in.Unit, in.Threshold} {
				l.text("causes.inputs", text)
			}
		}
	}
}

// validateRecord checks what can be checked by looking at the record alone.
func validateRecord(r *fairwattpb.Record, signer string) error {
	if r.Sender != signer {
		return fmt.Errorf("sender: %q, but the seal is %q's", r.Sender, signer)
	}
	l := &limits{}
	l.check(r.Counter >= 1, "counter", "1 or more")
	l.time("time_ms", r.TimeMs)
	switch b := r.Body.(type) {
	case *fairwattpb.Record_Registration:
		l.registration(b.Registration)
	case *fairwattpb.Record_MeterRegistration:
		l.meter(b.MeterRegistration)
	case *fairwattpb.Record_MeterChange:
		l.id("old", b.MeterChange.Old)
		l.between("old_end_wh", b.MeterChange.OldEndWh, 0, MaxRegisterWh)
		l.check(b.MeterChange.New != nil, "new", "a meter registration")
		if b.MeterChange.New != nil {
			l.meter(b.MeterChange.New)
		}
	case *fairwattpb.Record_MeterRetire:
		l.id("meter", b.MeterRetire.Meter)
		l.between("end_wh", b.MeterRetire.EndWh, 0, MaxRegisterWh)
	case *fairwattpb.Record_Deposit:
		l.name("to", b.Deposit.To)
		l.between("amount_micro", b.Deposit.AmountMicro, 1, MaxMoneyMicro)
		l.id("reference", b.Deposit.Reference)
	case *fairwattpb.Record_GateChange:
		l.check(b.GateChange.GateSeq >= 1, "gate_seq", "1 or more")
		l.between("state", int64(b.GateChange.State), 1, 4)
		l.causes(b.GateChange.Causes)
		l.between("valid_until_ms", b.GateChange.ValidUntilMs, 0, MaxTimeMs)
	case *fairwattpb.Record_Word:
		l.word(b.Word)
	case *fairwattpb.Record_WarningNotice:
		l.warning(b.WarningNotice)
	case *fairwattpb.Record_Tick:
	case *fairwattpb.Record_Rejoin:
		l.check(b.Rejoin.Epoch >= 1, "epoch", "1 or more")
	case *fairwattpb.Record_Report:
		l.report(b.Report, signer)
	case *fairwattpb.Record_Equivocation:
		l.equivocation(b.Equivocation)
	case *fairwattpb.Record_Admit:
		l.admit(b.Admit)
	case *fairwattpb.Record_Retire:
		l.name("id", b.Retire.Id)
	case *fairwattpb.Record_Rekey:
		l.name("id", b.Rekey.Id)
		l.key(b.Rekey.PublicKey, b.Rekey.Proof)
	case *fairwattpb.Record_Move:
		l.name("id", b.Move.Id)
		l.check(validAddress(b.Move.Address), "address", "host:port in plain ASCII")
	case *fairwattpb.Record_Offer:
		l.id("offer_id", b.Offer.OfferId)
		l.between("volume_wh", b.Offer.VolumeWh, 0, MaxEnergyWh)
		l.between("price_micro_per_kwh", b.Offer.PriceMicroPerKwh, 1, MaxPriceMicroPerKWh)
		l.time("expires_ms", b.Offer.ExpiresMs)
		l.between("contactor", int64(b.Offer.Contactor), 0, 3)
		l.between("min_lot_wh", b.Offer.MinLotWh, 0, b.Offer.VolumeWh)
	case *fairwattpb.Record_Request:
		l.id("request_id", b.Request.RequestId)
		l.between("volume_wh", b.Request.VolumeWh, 1, MaxEnergyWh)
		l.between("max_price_micro_per_kwh", b.Request.MaxPriceMicroPerKwh, 1, MaxPriceMicroPerKWh)
		l.time("expires_ms", b.Request.ExpiresMs)
	case *fairwattpb.Record_Response:
		l.response(b.Response)
	case *fairwattpb.Record_Pay:
		l.pay(b.Pay)
	case *fairwattpb.Record_Release:
		l.id("token_id", b.Release.TokenId)
	default:
		l.delivery(r)
	}
	return l.err
}

// word is a person's word to a device: who, of what, and by whose key.
func (l *limits) word(w *fairwattpb.Word) {
	l.between("kind", int64(w.Kind), 1, 3)
	l.id("rule", w.Rule)
	if err := person.CheckName(w.By); err != nil && l.err == nil {
		l.err = fmt.Errorf("by: %w", err)
	}
	if err := person.CheckWhy(w.Why); err != nil && l.err == nil {
		l.err = fmt.Errorf("why: %w", err)
	}
	l.between("until_ms", w.UntilMs, 0, MaxTimeMs)
	l.check(w.UntilMs == 0 || w.Kind == fairwattpb.WordKind_WORD_KIND_BLOCK, "until_ms", "none but of a block")
	if w.Owner == "" {
		l.check(len(w.CommandId) == 0, "command_id", "none without an owner")
		return
	}
	l.name("owner", w.Owner)
	l.check(len(w.CommandId) == 32, "command_id", "32 bytes")
}

func (l *limits) delivery(r *fairwattpb.Record) {
	switch b := r.Body.(type) {
	case *fairwattpb.Record_Start:
		l.id("trade_id", b.Start.TradeId)
		l.check(len(b.Start.Attestation) > 0, "attestation", "a sealed gate attestation")
		l.reading(b.Start.Reading)
	case *fairwattpb.Record_Hold:
		l.id("trade_id", b.Hold.TradeId)
		l.causes(b.Hold.Causes)
		l.reading(b.Hold.Reading)
	case *fairwattpb.Record_Resume:
		l.id("trade_id", b.Resume.TradeId)
		l.check(len(b.Resume.Attestation) > 0, "attestation", "a sealed gate attestation")
		l.reading(b.Resume.Reading)
	case *fairwattpb.Record_Reading:
		l.id("trade_id", b.Reading.TradeId)
		l.reading(b.Reading.Reading)
	case *fairwattpb.Record_Bill:
		l.id("trade_id", b.Bill.TradeId)
		l.reading(b.Bill.Reading)
		l.between("energy_wh", b.Bill.EnergyWh, 0, MaxEnergyWh)
		l.between("amount_micro", b.Bill.AmountMicro, 0, MaxMoneyMicro)
		l.check(len(b.Bill.PayId) == 32, "pay_id", "32 bytes")
		l.between("available_wh", b.Bill.AvailableWh, 0, MaxEnergyWh)
	case *fairwattpb.Record_Confirm:
		l.id("trade_id", b.Confirm.TradeId)
		l.reading(b.Confirm.Reading)
		l.between("energy_wh", b.Confirm.EnergyWh, 0, MaxRegisterWh)
		l.text("reason", b.Confirm.Reason)
	default:
		l.robust(r)
	}
}

func (l *limits) robust(r *fairwattpb.Record) {
	switch b := r.Body.(type) {
	case *fairwattpb.Record_Bond:
		l.between("amount_micro", b.Bond.AmountMicro, 1, MaxMoneyMicro)
	case *fairwattpb.Record_Unbond:
		l.between("amount_micro", b.Unbond.AmountMicro, 1, MaxMoneyMicro)
		l.memberOrNone(b.Unbond.Member)
	case *fairwattpb.Record_Appeal:
		l.id("trade_id", b.Appeal.TradeId)
		l.check(len(b.Appeal.TextHash) == 32, "text_hash", "32 bytes")
	case *fairwattpb.Record_Verdict:
		l.id("trade_id", b.Verdict.TradeId)
		l.between("finding", int64(b.Verdict.Finding), 1, 3)
		l.check(len(b.Verdict.TextHash) == 32, "text_hash", "32 bytes")
	case *fairwattpb.Record_Grant:
		l.id("reference", b.Grant.Reference)
		l.name("to", b.Grant.To)
		l.between("amount_micro", b.Grant.AmountMicro, 1, MaxMoneyMicro)
	default:
		l.money(r)
	}
}

func (l *limits) registration(r *fairwattpb.Registration) {
	l.name("id", r.Id)
	l.name("site", r.Site)
	if _, err := seal.ParseKey(r.PublicKey); err != nil && l.err == nil {
		l.err = fmt.Errorf("public_key: %w", err)
	}
	if err := validateRoles(r.Roles); err != nil && l.err == nil {
		l.err = err
	}
	l.between("meter_class_e4", int64(r.MeterClassE4), 0, MaxMeterClassE4)
	l.check(len(r.Possession) == 0 || len(r.Possession) == 64, "possession", "64 bytes")
	l.hash("recovery_hash", r.RecoveryHash)
	l.hash("payee_hash", r.PayeeHash)
}

func (l *limits) response(r *fairwattpb.Response) {
	l.id("request_id", r.RequestId)
	if r.Buyer != "" {
		l.name("buyer", r.Buyer)
		l.check(r.Token == nil && len(r.Quotes) == 0, "buyer", "no Token and no quotes beside it")
		return
	}
	l.check(r.Token != nil, "token", "a Token")
	if t := r.Token; t != nil {
		l.id("token.token_id", t.TokenId)
		l.name("token.buyer", t.Buyer)
		l.between("token.escrow_micro", t.EscrowMicro, 1, MaxMoneyMicro)
		l.between("token.volume_wh", t.VolumeWh, 1, MaxEnergyWh)
		l.time("token.valid_until_ms", t.ValidUntilMs)
	}
	l.check(len(r.Quotes) <= MaxQuotes, "quotes", "at most 64")
	for _, q := range r.Quotes {
		l.id("quotes.offer_id", q.OfferId)
		l.name("quotes.seller", q.Seller)
		l.between("quotes.price_micro_per_kwh", q.PriceMicroPerKwh, 1, MaxPriceMicroPerKWh)
		l.between("quotes.volume_wh", q.VolumeWh, 0, MaxEnergyWh)
	}
}

// changed is the data aggregator or centre that a record changes.
func changed(r *fairwattpb.Record) string {
	switch b := r.Body.(type) {
	case *fairwattpb.Record_Retire:
		return b.Retire.Id
	case *fairwattpb.Record_Rekey:
		return b.Rekey.Id
	case *fairwattpb.Record_Move:
		return b.Move.Id
	}
	return ""
}

func (l *limits) key(key string, proof []byte) {
	if _, err := seal.ParseKey(key); err != nil && l.err == nil {
		l.err = fmt.Errorf("public_key: %w", err)
	}
	l.check(len(proof) == 64, "proof", "64 bytes")
}

func (l *limits) admit(a *fairwattpb.Admit) {
	l.name("id", a.Id)
	l.key(a.PublicKey, a.Proof)
	switch a.Role {
	case fairwattpb.Role_ROLE_DA:
		l.check(validAddress(a.Address), "address", "host:port in plain ASCII")
		l.between("links", int64(a.Links), 0, MaxDAs)
		l.between("trust_e4", a.TrustE4, 0, 10_000)
		l.between("overhead_us", int64(a.OverheadUs), 0, maxSeenUs)
	case fairwattpb.Role_ROLE_MC:
		l.check(a.Address == "" && a.Links == 0 && a.TrustE4 == 0 && a.OverheadUs == 0, "address", "none of a centre, and no links, trust and overhead")
	default:
		l.check(false, "role", "ROLE_DA or ROLE_MC")
	}
}
