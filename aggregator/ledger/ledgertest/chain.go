// Package ledgertest makes small chains with known keys for tests: a genesis
// with data aggregators, a management centre, sellers and buyers, and the
// means to seal records, sign certificates and advance the chain by blocks.
//
// Every key is derived from its owner's name, so two runs make the same bytes.
// The keys are worthless by construction; nothing but tests may import this.
package ledgertest

import (
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"fairwatt/aggregator/ledger"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/members"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Centre is the name of the management centre.
const Centre = "mc"

// StartMs is the creation time of every chain made here.
const StartMs = 1_700_000_000_000

var canonical = proto.MarshalOptions{Deterministic: true}

// Key returns the key of the given name.
func Key(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("fairwatt test key of " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

// PublicKey returns the text form of [Key]'s public key.
func PublicKey(name string) seal.PublicKey {
	return seal.FormatKey(Key(name).Public().(ed25519.PublicKey))
}

// Genesis returns a valid genesis with das data aggregators ("da-1", ...),
// links 2, 1, 1, ..., trust 0.85 and overheads of 1 ms; one centre; sellers
// "seller-1", ... and buyers "buyer-1", ..., each with the meters NAME-meter and
// NAME-meter-2 that bear any power; and the default parameters, but for the credit, which is the
// paper's: a trade needs no bond ([Robust] changes that), and for possession, which no one
// need show.
func Genesis(das, sellers, buyers int) *ledger.Genesis {
	g := &ledger.Genesis{
		Version: ledger.GenesisVersion, Name: "test", CreatedMs: StartMs, Params: ledger.DefaultParams().WithCredit(ledger.CreditPaper),
		Centres: []ledger.Centre{{ID: Centre, PublicKey: PublicKey(Centre)}},
		Members: []ledger.Member{},
	}
	for i := range das {
		id := fmt.Sprintf("da-%d", i+1)
		links := 1
		if i == 0 {
			links = 2
		}
		g.Aggregators = append(g.Aggregators, ledger.DA{
			ID: id, PublicKey: PublicKey(id), Address: fmt.Sprintf("127.0.0.1:%d", 9000+i), Links: links, TrustE4: 8500,
		})
		row := make([]int64, das)
		for j := range row {
			if i != j {
				row[j] = 1000
			}
		}
		g.OverheadUs = append(g.OverheadUs, row)
	}
	add := func(role string, n int) {
		for i := range n {
			id := fmt.Sprintf("%s-%d", role, i+1)
			g.Members = append(g.Members, ledger.Member{
				ID: id, Site: "site-" + id, Roles: []string{role}, PublicKey: PublicKey(id), Simulated: true, MeterClassE4: 100,
			})
			for _, meter := range []string{id + "-meter", id + "-meter-2"} {
				g.Meters = append(g.Meters, ledger.Meter{
					ID: meter, Owner: id, Direction: "both", Serial: "no-" + meter, RatedW: ledger.MaxRatedW, ClassE4: 100,
				})
			}
		}
	}
	g.Params.Possession = false
	add("seller", sellers)
	add("buyer", buyers)
	return g
}

// FirstRules gives a genesis the rules of the chains that were made before there
// was a choice of settlement.
func FirstRules(g *ledger.Genesis) {
	p := &g.Params
	p.Settlement, p.HoldReadingMs, p.MaxHolds, p.SilenceMs, p.ReadingSkewMs, p.LossE4 = ledger.SettleFirst, 0, 0, 0, 0, 300
	p.MinLotWh, p.MaxSweep, p.MaxRequests, p.Trust, g.Meters, p.Possession = 0, 0, 0, ledger.TrustFixed, nil, false
	*p = p.WithCredit(ledger.CreditFirst).WithMechanism(ledger.MechanismFirst)
}

// Arbiters are the names of the arbiters that [Robust] names.
var Arbiters = []string{"judge-1", "judge-2", "judge-3"}

// Robust gives a genesis robust credit and three arbiters. Its members have no bonds
// yet.
func Robust(g *ledger.Genesis) {
	g.Params = g.Params.WithCredit(ledger.CreditRobust)
	g.Arbiters = nil
	for _, id := range Arbiters {
		g.Arbiters = append(g.Arbiters, ledger.Arbiter{ID: id, PublicKey: PublicKey(id)})
	}
}

// Auditor is the name of the auditor that [TwoKeys] names.
const Auditor = "auditor-1"

// TwoKeys gives a genesis robust credit, and money that comes and goes under two keys,
// without fees.
func TwoKeys(g *ledger.Genesis) {
	Robust(g)
	m := ledger.DefaultMoney()
	m.Auditors = []ledger.Arbiter{{ID: Auditor, PublicKey: PublicKey(Auditor)}}
	g.Money = &m
}

// Witnessed gives a genesis all that [TwoKeys] does, and excuses that want a witness. Its
// sellers have one site.
func Witnessed(g *ledger.Genesis) {
	TwoKeys(g)
	g.Params = g.Params.WithExcuses(ledger.ExcusesWitnessed)
	for i := range g.Members {
		if slices.Contains(g.Members[i].Roles, "seller") {
			g.Members[i].Site = "hill"
		}
	}
}

// Auction gives a genesis robust credit, and slots of a quarter of an hour.
func Auction(g *ledger.Genesis) {
	Robust(g)
	g.Params = g.Params.WithMechanism(ledger.MechanismAuction)
}

// Sharing gives a genesis robust credit, and slots that are shared by a key.
func Sharing(g *ledger.Genesis) {
	Robust(g)
	g.Params = g.Params.WithMechanism(ledger.MechanismSharing)
}

// A Chain is a growing chain. Its methods return errors instead of failing a
// test, so that examples and benchmarks can use it too. It is not safe for
// concurrent use.
type Chain struct {
	Genesis *ledger.Genesis
	State   *ledger.State
	Blocks  []*fairwattpb.CertifiedBlock
	NowMs   int64 // time of the next record; [Chain.Advance] gives a block the next millisecond

	counters  map[string]uint64
	registers map[string]int64 // of a Deal's meters
}

// New starts a chain.
func New(g *ledger.Genesis) (*Chain, error) {
	s, err := ledger.NewState(g)
	if err != nil {
		return nil, err
	}
	return &Chain{Genesis: g, State: s, NowMs: g.CreatedMs, counters: make(map[string]uint64)}, nil
}

// KeyOf is the key that the chain knows of a data aggregator or centre now: its own, or
// one that [Chain.Rekey] has given it.
func (c *Chain) KeyOf(id string) ed25519.PrivateKey {
	now := PublicKey(id)
	if da, ok := c.State.Aggregator(id); ok {
		now = da.PublicKey
	} else if p, ok := c.State.Participant(id); ok {
		now = seal.PublicKey(p.PublicKey)
	}
	for _, name := range []string{id, id + "-2", id + "-3"} {
		if PublicKey(name) == now {
			return Key(name)
		}
	}
	return Key(id)
}

// Admit is the record by which a data aggregator may join. Its key is that of its id.
func (c *Chain) Admit(id string) *fairwattpb.Record { return c.AdmitWith(id, id) }

// AdmitWith is [Chain.Admit] with the key of a name.
func (c *Chain) AdmitWith(id, name string) *fairwattpb.Record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Admit{Admit: &fairwattpb.Admit{
		Id: id, Role: fairwattpb.Role_ROLE_DA, PublicKey: string(PublicKey(name)), Proof: c.Proof(id, name),
		Address: id + ".test:9000", Links: 2, TrustE4: 8500, OverheadUs: 1000,
	}}}
}

// AdmitCentre is the record by which another centre comes in.
func (c *Chain) AdmitCentre(id string) *fairwattpb.Record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Admit{Admit: &fairwattpb.Admit{
		Id: id, Role: fairwattpb.Role_ROLE_MC, PublicKey: string(PublicKey(id)), Proof: c.Proof(id, id),
	}}}
}

// Rekey is the record that gives id the key of a name: its own with "-2" or "-3".
func (c *Chain) Rekey(id, name string) *fairwattpb.Record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Rekey{Rekey: &fairwattpb.Rekey{Id: id, PublicKey: string(PublicKey(name)), Proof: c.Proof(id, name)}}}
}

// Retire is the record by which a data aggregator or centre leaves.
func (c *Chain) Retire(id string) *fairwattpb.Record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Retire{Retire: &fairwattpb.Retire{Id: id}}}
}

// Move is the record that gives a data aggregator another address.
func (c *Chain) Move(id, address string) *fairwattpb.Record {
	return &fairwattpb.Record{Body: &fairwattpb.Record_Move{Move: &fairwattpb.Move{Id: id, Address: address}}}
}

// Proof is the word of the holder of the key of a name that it is id's.
func (c *Chain) Proof(id, name string) []byte {
	proof, err := members.Prove(Key(name), c.State.ChainID(), id)
	if err != nil {
		panic(err) // Key makes ed25519 keys
	}
	return proof
}

// Seal completes r with chain, sender, the sender's next counter and the time,
// and seals it with the sender's key.
func (c *Chain) Seal(sender string, r *fairwattpb.Record) ([]byte, error) {
	whose := sender
	if len(r.GetRevoke().GetRecoveryKey()) > 0 {
		whose = "recovery of " + sender
	}
	c.counters[whose]++
	return c.SealAs(sender, c.counters[whose], r)
}

// Stamp gives every meter reading in r that has no time the given one.
func Stamp(r *fairwattpb.Record, timeMs int64) {
	m := r.ProtoReflect()
	body := m.WhichOneof(m.Descriptor().Oneofs().ByName("body"))
	if body == nil {
		return
	}
	stamp := func(v protoreflect.Value) {
		if inner, ok := v.Interface().(protoreflect.Message); ok {
			if reading, ok := inner.Interface().(*fairwattpb.MeterReading); ok && reading.TimeMs == 0 {
				reading.TimeMs = timeMs
			}
		}
	}
	m.Mutable(body).Message().Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if !f.IsList() {
			stamp(v)
			return true
		}
		for i := range v.List().Len() {
			stamp(v.List().Get(i))
		}
		return true
	})
}

// SealAs is Seal with a counter of the caller's choice. Readings without a time are
// of now.
func (c *Chain) SealAs(sender string, counter uint64, r *fairwattpb.Record) ([]byte, error) {
	chain := c.State.ChainID()
	r = proto.Clone(r).(*fairwattpb.Record)
	r.ChainId, r.Sender, r.Counter, r.TimeMs = chain[:], sender, counter, c.NowMs
	Stamp(r, c.NowMs)
	payload, err := canonical.Marshal(r)
	if err != nil {
		return nil, err
	}
	key := c.KeyOf(sender)
	if len(r.GetRevoke().GetRecoveryKey()) > 0 {
		key = Key("recovery of " + sender)
	}
	return seal.Seal(key, sender, seal.DomainRecord, chain, payload)
}

// Attest seals a gate attestation of device, valid from now for validMs.
func (c *Chain) Attest(device string, seq uint64, state fairwattpb.GateState, validMs int64) ([]byte, error) {
	chain := c.State.ChainID()
	payload, err := canonical.Marshal(&fairwattpb.GateAttestation{
		ChainId: chain[:], Device: device, GateSeq: seq, State: state, IssuedMs: c.NowMs, ValidUntilMs: c.NowMs + validMs,
	})
	if err != nil {
		return nil, err
	}
	return seal.Seal(c.KeyOf(device), device, seal.DomainAttestation, chain, payload)
}

// Fields returns the header fields of the next block in view 0 at the next
// millisecond.
func (c *Chain) Fields() ledger.HeaderFields {
	return ledger.HeaderFields{Epoch: c.State.Epoch(), AccountingNode: c.State.Order()[0], TimeMs: c.NowMs + 1}
}

// Certify signs a block with a quorum of data aggregators.
func (c *Chain) Certify(st *ledger.Staged) (*fairwattpb.CertifiedBlock, error) {
	hash := st.HeaderHash()
	metadata, aux := []byte("metadata"), []byte("aux")
	cert := &fairwattpb.Certificate{Height: st.Header().GetHeight(), HeaderHash: hash[:], Metadata: metadata}
	voters := c.State.Members()
	for _, da := range voters.Names()[:voters.Quorum()] {
		vote := seal.Preimage(seal.DomainVote, c.State.ChainID(), da, wire.VotePayload(hash, metadata, aux))
		signature, err := c.KeyOf(da).Sign(nil, vote, crypto.Hash(0))
		if err != nil {
			return nil, err
		}
		cert.Votes = append(cert.Votes, &fairwattpb.Vote{Da: da, Aux: aux, Signature: signature})
	}
	slices.SortFunc(cert.Votes, func(a, b *fairwattpb.Vote) int { return strings.Compare(a.Da, b.Da) })
	encoded, err := canonical.Marshal(cert)
	if err != nil {
		return nil, err
	}
	return &fairwattpb.CertifiedBlock{Block: st.Block(), Certificate: encoded}, nil
}

// Advance builds a block of the sealed records, certifies it, verifies it as
// another aggregator would, and commits it. A record that may not stand in a
// block is an error.
func (c *Chain) Advance(sealed ...[]byte) (*ledger.Staged, error) {
	built, dropped, err := c.State.Build(c.Fields(), sealed)
	if err != nil {
		return nil, err
	}
	if len(dropped) > 0 {
		return nil, fmt.Errorf("left out: %w", dropped[0].Refusal)
	}
	cb, err := c.Certify(built)
	if err != nil {
		return nil, err
	}
	staged, err := c.State.VerifyCertified(cb)
	if err != nil {
		return nil, err
	}
	if err := c.State.Commit(staged); err != nil {
		return nil, err
	}
	c.Blocks = append(c.Blocks, cb)
	c.NowMs = c.State.TimeMs()
	return staged, nil
}

// Send seals one record and advances the chain by a block with it. It returns
// the record's outcome.
func (c *Chain) Send(sender string, r *fairwattpb.Record) (*fairwattpb.Outcome, error) {
	sealed, err := c.Seal(sender, r)
	if err != nil {
		return nil, err
	}
	st, err := c.Advance(sealed)
	if err != nil {
		return nil, err
	}
	return st.Outcomes()[0], nil
}
