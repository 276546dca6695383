package ledger

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/members"
	"fairwatt/proto/seal"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"google.golang.org/protobuf/proto"
)

// MaxProofBytes bounds a proof: a record, a certificate and two paths, in base64
// and once more in decoded form.
const MaxProofBytes = 16 << 20

// proofFormat names the form below.
const proofFormat = "fairwatt-proof-1"

// ErrNoRecord is in the error of [Prove] for a record that the block does not hold.
var ErrNoRecord = errors.New("no such record in the block")

// A proofFile is a proof as it is written: one JSON object. Paths are the sibling
// hashes from the leaf up, in hex (RFC 6962, section 2.1.1). Decoded is a view for
// people, computed from the rest.
type proofFile struct {
	Format      string   `json:"format"`
	Chain       string   `json:"chain"`
	Height      uint64   `json:"height"`
	Header      string   `json:"header"`
	Certificate string   `json:"certificate"`
	Index       uint64   `json:"index"`
	Record      string   `json:"record"`
	RecordPath  []string `json:"record_path"`
	Outcome     string   `json:"outcome"`
	OutcomePath []string `json:"outcome_path"`
	// Turns lead from the genesis' members to those of the block; none where these are
	// the same.
	Turns   []string        `json:"turns,omitempty"`
	Decoded json.RawMessage `json:"decoded"`
}

// A Proven is what a proof shows: that a quorum of the genesis's data aggregators
// signed a block in which the record stands, and what the ledger said of it.
type Proven struct {
	Header     *fairwattpb.BlockHeader
	HeaderHash [32]byte
	RecordID   [32]byte
	Record     *fairwattpb.Record
	Outcome    *fairwattpb.Outcome
	Voters     []string // data aggregators, ascending
}

// Prove returns the proof for the record with id in the certified block that st was
// verified from. The error of a record that is not there is [ErrNoRecord].
// Where the members have changed below the block, the changes ([State.TurnsBelow]) belong to
// the proof.
func Prove(st *Staged, certificate []byte, id [32]byte, turns ...*fairwattpb.Turn) ([]byte, error) {
	outcomes := make([][]byte, len(st.outcomes))
	for i, o := range st.outcomes {
		var err error
		if outcomes[i], err = marshal(o); err != nil {
			return nil, err
		}
	}
	return ProveOf(st.block, outcomes, certificate, id, turns...)
}

// ProveOf is [Prove] for who has kept the encoded outcomes of a block and not the block
// as it was verified. It does not judge them: whoever did not make them himself calls
// [VerifyProof].
func ProveOf(block []byte, outcomes [][]byte, certificate []byte, id [32]byte, turns ...*fairwattpb.Turn) ([]byte, error) {
	head, _, _, err := DecodeBlock(block)
	if err != nil {
		return nil, err
	}
	header, records, err := splitBlock(block)
	if err != nil {
		return nil, err
	}
	if len(outcomes) != len(records) {
		return nil, fmt.Errorf("%d outcomes of %d records at height %d", len(outcomes), len(records), head.GetHeight())
	}
	index := -1
	for i, sealed := range records {
		if seal.ID(sealed) == id {
			index = i
			break
		}
	}
	if index < 0 {
		return nil, fmt.Errorf("%w: %x at height %d", ErrNoRecord, id, head.GetHeight())
	}
	recordPath, err := inclusionPath(records, index)
	if err != nil {
		return nil, err
	}
	outcomePath, err := inclusionPath(outcomes, index)
	if err != nil {
		return nil, err
	}
	b64 := base64.StdEncoding.EncodeToString
	p := proofFile{
		Format: proofFormat, Chain: hex.EncodeToString(head.GetChainId()), Height: head.GetHeight(),
		Header: b64(header), Certificate: b64(certificate), Index: uint64(index),
		Record: b64(records[index]), RecordPath: recordPath,
		Outcome: b64(outcomes[index]), OutcomePath: outcomePath,
	}
	for _, t := range turns {
		b, err := marshal(t)
		if err != nil {
			return nil, err
		}
		p.Turns = append(p.Turns, b64(b))
	}
	parts, err := p.parts()
	if err != nil {
		return nil, err
	}
	if p.Decoded, err = parts.decoded(); err != nil {
		return nil, err
	}
	return json.Marshal(p)
}

// VerifyProof checks a proof with nothing but the genesis: the votes of a quorum on
// the header, the record and its outcome under the header's roots. It refuses every
// file that [Prove] would not write.
//
// The sender's own signature is not looked at: its key stands on the chain, and a
// quorum has checked it. A proof does not say that later blocks changed nothing.
func VerifyProof(g *Genesis, raw []byte) (*Proven, error) {
	if len(raw) > MaxProofBytes {
		return nil, fmt.Errorf("proof: %d bytes, at most %d", len(raw), MaxProofBytes)
	}
	var p proofFile
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		return nil, fmt.Errorf("proof: not a JSON object of a proof: %w", err)
	}
	if p.Format != proofFormat {
		return nil, fmt.Errorf("proof: format %.60q, want %q", p.Format, proofFormat)
	}
	parts, err := p.parts()
	if err != nil {
		return nil, fmt.Errorf("proof: %w", err)
	}
	view, err := parts.decoded()
	if err != nil {
		return nil, fmt.Errorf("proof: %w", err)
	}
	p.Decoded = view
	again, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("proof: %w", err)
	}
	if !bytes.Equal(again, bytes.TrimSuffix(raw, []byte("\n"))) {
		return nil, fmt.Errorf("proof: byte %d is not what its parts give (decoded form or spacing)", firstDifference(again, raw))
	}
	chain := g.ChainID()
	if !bytes.Equal(parts.Header.GetChainId(), chain[:]) {
		return nil, fmt.Errorf("proof: is of chain %x, the trusted genesis of %x", parts.Header.GetChainId(), chain)
	}
	voters, err := p.members(g)
	if err == nil {
		_, err = verifyCertificate(voters, parts.HeaderHash, parts.certificate, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("proof: %w", err)
	}
	if err := parts.included(p.Index); err != nil {
		return nil, fmt.Errorf("proof: %w", err)
	}
	return &parts.Proven, nil
}

// proofParts are the decoded parts of a proof; nothing of them is proven yet.
type proofParts struct {
	Proven
	certificate, record, outcome []byte
	recordPath, outcomePath      [][]byte
}

func (p *proofFile) parts() (*proofParts, error) {
	parts := &proofParts{}
	var header []byte
	for _, f := range []struct {
		name, text string
		to         *[]byte
	}{{"header", p.Header, &header}, {"certificate", p.Certificate, &parts.certificate}, {"record", p.Record, &parts.record}, {"outcome", p.Outcome, &parts.outcome}} {
		b, err := base64.StdEncoding.Strict().DecodeString(f.text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		*f.to = b
	}
	if len(header) > MaxHeaderBytes {
		return nil, fmt.Errorf("header: %d bytes, at most %d", len(header), MaxHeaderBytes)
	}
	cert := &fairwattpb.Certificate{}
	parts.Header, parts.Record, parts.Outcome = &fairwattpb.BlockHeader{}, &fairwattpb.Record{}, &fairwattpb.Outcome{}
	_, payload, err := seal.Peek(parts.record)
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	for _, m := range []struct {
		name string
		b    []byte
		to   proto.Message
	}{{"header", header, parts.Header}, {"certificate", parts.certificate, cert}, {"record", payload, parts.Record}, {"outcome", parts.outcome, parts.Outcome}} {
		if err := unmarshal(m.b, m.to); err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
	}
	parts.HeaderHash, parts.RecordID = seal.ID(header), seal.ID(parts.record)
	for _, v := range cert.GetVotes() {
		parts.Voters = append(parts.Voters, v.GetDa())
	}
	for _, h := range []struct {
		field string
		same  bool
	}{
		{"height", p.Height == parts.Header.GetHeight() && p.Height == cert.GetHeight()},
		{"chain", p.Chain == hex.EncodeToString(parts.Header.GetChainId())},
		{"index", p.Index < uint64(parts.Header.GetRecordCount())},
	} {
		if !h.same {
			return nil, fmt.Errorf("%s: is not that of header and certificate", h.field)
		}
	}
	if parts.recordPath, err = pathOf(p.RecordPath); err != nil {
		return nil, fmt.Errorf("record_path: %w", err)
	}
	if parts.outcomePath, err = pathOf(p.OutcomePath); err != nil {
		return nil, fmt.Errorf("outcome_path: %w", err)
	}
	return parts, nil
}

func (p *proofParts) included(index uint64) error {
	hasher, size := rfc6962.DefaultHasher, uint64(p.Header.GetRecordCount())
	if err := proof.VerifyInclusion(hasher, index, size, hasher.HashLeaf(p.record), p.recordPath, p.Header.GetRecordsRoot()); err != nil {
		return fmt.Errorf("record: not under the header's records_root: %w", err)
	}
	if err := proof.VerifyInclusion(hasher, index, size, hasher.HashLeaf(p.outcome), p.outcomePath, p.Header.GetOutcomesRoot()); err != nil {
		return fmt.Errorf("outcome: not under the header's outcomes_root: %w", err)
	}
	return nil
}

func (p *proofParts) decoded() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(`{"hash":"` + hex.EncodeToString(p.HeaderHash[:]) + `","header":`)
	if err := writeJSON(&b, p.Header); err != nil {
		return nil, err
	}
	b.WriteString(`,"id":"` + hex.EncodeToString(p.RecordID[:]) + `","record":`)
	if err := writeJSON(&b, p.Record); err != nil {
		return nil, err
	}
	b.WriteString(`,"outcome":`)
	if err := writeJSON(&b, p.Outcome); err != nil {
		return nil, err
	}
	voters, err := json.Marshal(p.Voters)
	if err != nil {
		return nil, err
	}
	b.WriteString(`,"votes":`)
	b.Write(voters)
	b.WriteByte('}')
	return b.Bytes(), nil
}

// inclusionPath is the audit path of a leaf, from its sibling up (RFC 6962, section
// 2.1.1).
func inclusionPath(leaves [][]byte, index int) ([]string, error) {
	if len(leaves) < 2 {
		return []string{}, nil
	}
	split := 1 << (bits.Len(uint(len(leaves)-1)) - 1) // the largest power of two below the length
	inside, beside := leaves[:split], leaves[split:]
	if index >= split {
		inside, beside, index = beside, inside, index-split
	}
	path, err := inclusionPath(inside, index)
	if err != nil {
		return nil, err
	}
	root, err := merkleRoot(beside)
	return append(path, hex.EncodeToString(root)), err
}

func pathOf(path []string) ([][]byte, error) {
	if len(path) > 64 {
		return nil, fmt.Errorf("%d hashes, at most 64", len(path))
	}
	out := make([][]byte, len(path))
	for i, text := range path {
		h, err := hex.DecodeString(text)
		if err != nil || len(h) != rfc6962.DefaultHasher.Size() {
			return nil, fmt.Errorf("hash %d: %.80q is not %d bytes in hex", i, text, rfc6962.DefaultHasher.Size())
		}
		out[i] = h
	}
	return out, nil
}

// members follows the turns of the proof.
func (p *proofFile) members(g *Genesis) (*members.Set, error) {
	now, err := g.FirstMembers()
	if err != nil {
		return nil, err
	}
	for k, text := range p.Turns {
		b, err := base64.StdEncoding.Strict().DecodeString(text)
		t := &fairwattpb.Turn{}
		if err == nil {
			err = unmarshal(b, t)
		}
		if err == nil {
			now, err = now.Follow(t)
		}
		if err == nil && now.Height() >= p.Height {
			err = fmt.Errorf("of block %d, which is not below block %d", now.Height(), p.Height)
		}
		if err != nil {
			return nil, fmt.Errorf("turns[%d]: %w", k, err)
		}
	}
	return now, nil
}
