package receipt

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"fairwatt/proto/brief"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// An Outcome is what the data aggregators said of one record or trade, once
// enough of them said the same.
type Outcome struct {
	Height uint64 // 0: refused before any block
	// Held says that f+1 have refused the record before any block, and not yet
	// enough of them: it is to be kept and sent again.
	Held  bool
	Entry *fairwattpb.ReceiptEntry
	// Busy is set, and Entry is not, where f+1 have put the sender off.
	Busy *Busy
}

// Busy says that records from a counter on were not taken, and how long to wait
// before they are sent again.
type Busy struct {
	From  uint64
	After time.Duration
}

// Final says whether the record stands in a block, applied or not.
func (o Outcome) Final() bool { return o.Height > 0 }

// maxClaims bounds the claims of one data aggregator that wait for more voices
// or are kept against repeats. Its oldest are forgotten first, and no other's:
// a liar that says much forgets only what it said itself.
const maxClaims = 2048

// A Collector counts what data aggregators say, until f+1 said the same. It is
// not safe for concurrent use.
type Collector struct {
	chain [32]byte
	keys  map[string]ed25519.PublicKey
	need  int // voices for what stands in a block
	all   int // voices for a refusal before any block
	mine  func(*fairwattpb.ReceiptEntry) bool

	claims map[[32]byte]*claim
	said   map[string][][32]byte // by data aggregator, the oldest first
	busy   map[string]*Busy      // by data aggregator, since f+1 last said so
}

// A claim is what some data aggregators say; it is kept while it has a voice.
type claim struct {
	voices map[string]bool
	held   bool // told as held
	told   bool
}

// lasting are the refusals that hang on the bytes of the record and the genesis
// alone: what one honest aggregator says, all would say, now and later. Any other
// hangs on how far an aggregator has read the chain.
var lasting = map[string]bool{wire.CodeMalformed: true, wire.CodeTooLarge: true, wire.CodeWrongChain: true}

// New needs the data aggregators' keys by id. Entries for which mine is false
// are passed over; it is called during Add, and nil keeps all.
func New(chain [32]byte, das map[string]ed25519.PublicKey, mine func(*fairwattpb.ReceiptEntry) bool) *Collector {
	if mine == nil {
		mine = func(*fairwattpb.ReceiptEntry) bool { return true }
	}
	return &Collector{
		chain: chain, keys: das, need: wire.Vouchers(len(das)), all: wire.Quorum(len(das)), mine: mine,
		claims: make(map[[32]byte]*claim), said: make(map[string][][32]byte),
		busy: make(map[string]*Busy),
	}
}

// Add takes one receipt message of the data aggregator named in the topic and
// returns the outcomes that now stand, each once.
func (r *Collector) Add(da string, sealed []byte) ([]Outcome, error) {
	if len(sealed) > wire.MaxReceiptBytes {
		return nil, fmt.Errorf("receipt of %s: %d bytes is over %d", da, len(sealed), wire.MaxReceiptBytes)
	}
	signer, payload, err := seal.Open(sealed, seal.DomainReceipt, r.chain, func(id string) (ed25519.PublicKey, bool) {
		key, ok := r.keys[id]
		return key, ok
	})
	if err != nil {
		return nil, fmt.Errorf("receipt of %s: %w", da, err)
	}
	if signer != da {
		return nil, fmt.Errorf("receipt of %s: on the topic of %s", signer, brief.Quote(da))
	}
	if n := entries(payload); n > wire.MaxReceiptEntries {
		return nil, fmt.Errorf("receipt of %s: more than %d entries", signer, wire.MaxReceiptEntries)
	}
	var receipt fairwattpb.Receipt
	if err := proto.Unmarshal(payload, &receipt); err != nil {
		return nil, fmt.Errorf("receipt of %s: %w", signer, err)
	}
	if receipt.GetDa() != signer || string(receipt.GetChainId()) != string(r.chain[:]) {
		return nil, fmt.Errorf("receipt of %s: names another aggregator or chain", signer)
	}
	var out []Outcome
	if b := receipt.GetBusy(); b != nil {
		if receipt.GetHeight() != 0 {
			return nil, fmt.Errorf("receipt of %s: busy at height %d, want 0", signer, receipt.GetHeight())
		}
		if all := r.putOff(signer, b); all != nil {
			out = append(out, Outcome{Busy: all})
		}
	}
	for _, e := range receipt.GetEntries() {
		if !r.mine(e) {
			continue
		}
		if err := checkEntry(receipt.GetHeight(), e); err != nil {
			return out, fmt.Errorf("receipt of %s: %w", signer, err)
		}
		o := Outcome{Height: receipt.GetHeight(), Entry: e}
		var news bool
		if news, o.Held = r.voice(signer, o.Height, e); news {
			out = append(out, o)
		}
	}
	return out, nil
}

// putOff counts that an aggregator is busy. When f+1 are, one of them is honest:
// the records go again from the smallest counter that any of them wants, after
// the longest of the times they ask for.
func (r *Collector) putOff(da string, b *fairwattpb.Busy) *Busy {
	const longest = time.Hour // the caller's bound is far below; this one only fits a Duration
	after := time.Duration(min(max(b.GetRetryAfterMs(), 0), longest.Milliseconds())) * time.Millisecond
	r.busy[da] = &Busy{From: b.GetFromCounter(), After: after}
	if len(r.busy) < r.need {
		return nil
	}
	all := &Busy{From: math.MaxUint64}
	for _, one := range r.busy {
		all.From, all.After = min(all.From, one.From), max(all.After, one.After)
	}
	clear(r.busy)
	return all
}

// entries counts the entries of an encoded receipt, up to one more than may be.
// It decodes none of them: an entry of two bytes takes a hundred times as many
// when it is decoded.
func entries(payload []byte) int {
	field := new(fairwattpb.Receipt).ProtoReflect().Descriptor().Fields().ByName("entries").Number()
	count := 0
	for len(payload) > 0 && count <= wire.MaxReceiptEntries {
		number, kind, n := protowire.ConsumeTag(payload)
		if n < 0 {
			return count // proto.Unmarshal says what is wrong
		}
		size := protowire.ConsumeFieldValue(number, kind, payload[n:])
		if size < 0 {
			return count
		}
		if number == field {
			count++
		}
		payload = payload[n+size:]
	}
	return count
}

var (
	errEntry = errors.New("record and record id do not belong together")
	errDoor  = errors.New("at height 0 a record can only be refused, and changes no trade and no account")
)

// checkEntry refuses a record that is not the one its id names: what traders
// decide on is the record.
func checkEntry(height uint64, e *fairwattpb.ReceiptEntry) error {
	if height == 0 && (e.GetOutcome().GetApplied() || e.GetTrade() != nil || e.GetAccount() != nil || len(e.GetRecord()) > 0) {
		return errDoor
	}
	if len(e.GetRecord()) == 0 {
		return nil
	}
	if id := seal.ID(e.GetRecord()); string(id[:]) != string(e.GetRecordId()) {
		return errEntry
	}
	return nil
}

// voice counts one aggregator's word and says whether it was the one that
// made the outcome certain, or made a refusal one that is held.
//
// Of f+1 that refuse a record before any block, f may lie and the honest one may
// be behind: it does not know the sender yet. Of a quorum, so many honest ones
// refuse that without them no block has the record.
func (r *Collector) voice(da string, height uint64, e *fairwattpb.ReceiptEntry) (news, held bool) {
	key, err := claimOf(height, e)
	if err != nil {
		return false, false // unreachable: it was just unmarshalled
	}
	c := r.claims[key]
	if c == nil {
		c = &claim{voices: make(map[string]bool)}
		r.claims[key] = c
	}
	if !c.voices[da] {
		c.voices[da] = true
		r.said[da] = append(r.said[da], key)
		if len(r.said[da]) > maxClaims {
			r.withdraw(da)
		}
	}
	enough := r.need
	if height == 0 && !lasting[e.GetOutcome().GetCode()] {
		enough = r.all
	}
	switch {
	case c.told || len(c.voices) < r.need:
		return false, false
	case len(c.voices) >= enough:
		c.told = true
		return true, false
	}
	news, c.held = !c.held, true
	return news, true
}

// withdraw forgets the oldest claim of a data aggregator.
func (r *Collector) withdraw(da string) {
	key := r.said[da][0]
	r.said[da] = r.said[da][1:]
	c := r.claims[key]
	if delete(c.voices, da); len(c.voices) == 0 {
		delete(r.claims, key)
	}
}

// claimOf is what of an entry has to be equal: all but the refusal's prose,
// which honest aggregators of different versions may word differently. Of a
// refusal before any block it is record, sender and code; not all that refuse
// can read the counter.
func claimOf(height uint64, e *fairwattpb.ReceiptEntry) ([32]byte, error) {
	same := proto.Clone(e).(*fairwattpb.ReceiptEntry)
	if same.Outcome != nil {
		same.Outcome.Reason = ""
	}
	if same.Trade != nil {
		same.Trade.Reason = ""
	}
	if height == 0 {
		same = &fairwattpb.ReceiptEntry{
			RecordId: e.GetRecordId(), Sender: e.GetSender(), Outcome: &fairwattpb.Outcome{Code: e.GetOutcome().GetCode()},
		}
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(same)
	return sha256.Sum256(fmt.Appendf(b, "@%d", height)), err
}
