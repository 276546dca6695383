package agent

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// A Verdict is what the data aggregators said of one record or trade, once
// enough of them said the same.
type Verdict struct {
	Height uint64 // 0: refused at the door, in no block
	Entry  *fairwattpb.ReceiptEntry
}

// Final says whether the record stands in a block, applied or not.
func (v Verdict) Final() bool { return v.Height > 0 }

// maxTracked bounds the verdicts waiting for more voices or kept against
// repeats; the oldest are forgotten first.
const maxTracked = 8192

// Receipts collects the signed receipts of the data aggregators. A verdict
// stands when f+1 of them said the same of the same record at the same
// height: one of f+1 is honest, and an honest one speaks only of decided
// blocks. It is not safe for concurrent use.
type Receipts struct {
	chain [32]byte
	keys  map[string]ed25519.PublicKey
	need  int

	voices map[[32]byte]map[string]bool // by claim; nil value: already told
	order  [][32]byte
}

// NewReceipts needs the data aggregators' keys by id.
func NewReceipts(chain [32]byte, das map[string]ed25519.PublicKey) *Receipts {
	return &Receipts{chain: chain, keys: das, need: wire.Vouchers(len(das)), voices: make(map[[32]byte]map[string]bool)}
}

// Add takes one receipt message of the data aggregator named in the topic and
// returns the verdicts that now stand, each once.
func (r *Receipts) Add(da string, sealed []byte) ([]Verdict, error) {
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
	var receipt fairwattpb.Receipt
	if err := proto.Unmarshal(payload, &receipt); err != nil {
		return nil, fmt.Errorf("receipt of %s: %w", signer, err)
	}
	if receipt.GetDa() != signer || string(receipt.GetChainId()) != string(r.chain[:]) {
		return nil, fmt.Errorf("receipt of %s: names another aggregator or chain", signer)
	}
	var out []Verdict
	for _, e := range receipt.GetEntries() {
		if err := checkEntry(e); err != nil {
			return out, fmt.Errorf("receipt of %s: %w", signer, err)
		}
		if r.voice(signer, receipt.GetHeight(), e) {
			out = append(out, Verdict{Height: receipt.GetHeight(), Entry: e})
		}
	}
	return out, nil
}

var errEntry = errors.New("record and record id do not belong together")

// checkEntry refuses a record that is not the one its id names: what traders
// decide on is the record.
func checkEntry(e *fairwattpb.ReceiptEntry) error {
	if len(e.GetRecord()) == 0 {
		return nil
	}
	if id := seal.ID(e.GetRecord()); string(id[:]) != string(e.GetRecordId()) {
		return errEntry
	}
	return nil
}

// voice counts one aggregator's word and says whether it was the one that
// made the verdict.
func (r *Receipts) voice(da string, height uint64, e *fairwattpb.ReceiptEntry) bool {
	// The claim is all of the entry but the refusal's prose, which honest
	// aggregators of different versions may word differently.
	claim := proto.Clone(e).(*fairwattpb.ReceiptEntry)
	if claim.Outcome != nil {
		claim.Outcome.Reason = ""
	}
	if claim.Trade != nil {
		claim.Trade.Reason = ""
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(claim)
	if err != nil {
		return false // unreachable: it was just unmarshalled
	}
	key := sha256.Sum256(fmt.Appendf(b, "@%d", height))
	voices, known := r.voices[key]
	if known && voices == nil {
		return false
	}
	if !known {
		voices = make(map[string]bool)
		r.voices[key] = voices
		r.order = append(r.order, key)
		if len(r.order) > maxTracked {
			delete(r.voices, r.order[0])
			r.order = r.order[1:]
		}
	}
	voices[da] = true
	if len(voices) < r.need {
		return false
	}
	r.voices[key] = nil
	return true
}
