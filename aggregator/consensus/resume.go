package consensus

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"fairwatt/aggregator/consensus/guard"
	"fairwatt/aggregator/consensus/wal"
	"fairwatt/proto/brief"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/peerpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"

	"google.golang.org/protobuf/proto"
)

// This file lets an epoch go on in which so many logs were lost that no quorum may
// vote. Operators agree on the newest block that any DA holds. Each DA states that
// it takes part again above that block, in a view far above all others; the
// statements of a quorum are the new view that the members can not make by
// themselves. What any of them said in an earlier view can decide nothing any more.

// A Resumption says from where on members take part again.
type Resumption struct {
	Epoch, Height uint64
	Block         [32]byte // hash of that block's header; the chain's id for height 0
	View          uint64
}

// viewOfRound is the view in which members begin again, the round-th time in an
// epoch: led by the first of the order, and far above all that can be reached one
// by one.
func viewOfRound(round uint64, members int) uint64 { return round << 32 * uint64(members) }

func (r Resumption) round(members int) uint64 { return r.View >> 32 / uint64(members) }

// MaxRound bounds how often members can resume in one epoch.
const MaxRound = 1 << 16

func (r Resumption) String() string {
	return fmt.Sprintf("epoch %d above block %d (%x) in view %d", r.Epoch, r.Height, r.Block[:8], r.View)
}

// Resuming is what a member would state now: above its newest block, which must be
// of the height that the operators have agreed on.
func Resuming(cfg Config, height, round uint64) (Resumption, error) {
	epoch := cfg.App.Epoch()
	have := cfg.App.Height()
	r := Resumption{Epoch: epoch.Number, Height: height, View: viewOfRound(round, len(epoch.Order))}
	switch {
	case round < 1 || round > MaxRound:
		return r, fmt.Errorf("round: %d, want 1 to %d", round, MaxRound)
	case have > height:
		return r, fmt.Errorf("height: %d, but this data aggregator holds block %d: no block may be given up, so all resume above the newest that any of them holds", height, have)
	case have < height:
		return r, fmt.Errorf("height: %d, but this data aggregator holds blocks up to %d: start it next to one that holds more, and it fetches them", height, have)
	}
	if err := unused(wal.Dir(cfg.Dir), cfg, r); err != nil {
		return r, err
	}
	var err error
	if r.Block, err = hashAt(cfg, height); err != nil {
		return r, err
	}
	if height > epoch.LastHeight {
		view, err := viewAt(cfg, height)
		if err != nil {
			return r, err
		}
		if view >= r.View {
			return r, fmt.Errorf("round: %d, but block %d was decided after round %d: name the next one", round, height, Resumption{View: view}.round(len(epoch.Order)))
		}
	}
	return r, nil
}

// unused refuses a round that this member has resumed in: it may have voted there,
// and lost the log of that since.
func unused(logs logs, cfg Config, r Resumption) error {
	text, err := logs.PastResumption()
	if text == nil || err != nil {
		return err
	}
	past, _, err := ReadResumption(text, cfg.ChainID, nil) // its own, checked then; keys may have changed since
	if err != nil {
		return fmt.Errorf("statements used last: %w", err)
	}
	if past.Epoch == r.Epoch && past.View >= r.View {
		members := len(cfg.App.Epoch().Order)
		return fmt.Errorf("round: %d, but this data aggregator has resumed in round %d of epoch %d: name the next one", r.round(members), past.round(members), r.Epoch)
	}
	return nil
}

func hashAt(cfg Config, height uint64) ([32]byte, error) {
	if height == 0 {
		return cfg.ChainID, nil
	}
	cb, err := cfg.App.Block(height)
	if err != nil {
		return [32]byte{}, fmt.Errorf("read block %d: %w", height, err)
	}
	header, _, err := split(cb.GetBlock())
	return sha256.Sum256(header), err
}

// viewAt is the view in which a block was decided.
func viewAt(cfg Config, height uint64) (uint64, error) {
	cb, err := cfg.App.Block(height)
	if err != nil {
		return 0, fmt.Errorf("read block %d: %w", height, err)
	}
	c := &fairwattpb.Certificate{}
	if err := proto.Unmarshal(cb.GetCertificate(), c); err != nil {
		return 0, fmt.Errorf("decode certificate of block %d: %w", height, err)
	}
	md, err := guard.Metadata(c.GetMetadata())
	return md.GetViewId(), err
}

// SignResumption signs a statement for the member of the configuration.
func SignResumption(cfg Config, r Resumption) (string, error) {
	payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(&peerpb.Resumption{
		Epoch: r.Epoch, Height: r.Height, Block: r.Block[:], View: r.View,
	})
	if err != nil {
		return "", fmt.Errorf("encode statement: %w", err)
	}
	key := cfg.signer(cfg.App.Epoch())
	if key == nil {
		return "", fmt.Errorf("sign statement: %w", errOtherKey)
	}
	sealed, err := seal.Seal(key, cfg.Self, guard.DomainResumption, cfg.ChainID, payload)
	if err != nil {
		return "", fmt.Errorf("sign statement: %w", err)
	}
	return base64.StdEncoding.EncodeToString(sealed), nil
}

// ReadResumption reads statements, one a line; lines that begin with # are for
// people. All must state the same. It returns who signed, in order. Without keys no
// signature is looked at.
func ReadResumption(text []byte, chain [32]byte, keys map[string]ed25519.PublicKey) (r Resumption, signers []string, err error) {
	for k, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		one, signer, err := readStatement(line, chain, keys)
		if err != nil {
			return r, nil, fmt.Errorf("line %d: %w", k+1, err)
		}
		if len(signers) > 0 && one != r {
			return r, nil, fmt.Errorf("line %d: %s states %s, those before it %s: all must name the same height and round", k+1, signer, one, r)
		}
		r = one
		if !slices.Contains(signers, signer) {
			signers = append(signers, signer)
		}
	}
	if len(signers) == 0 {
		return r, nil, errors.New("no statement")
	}
	slices.Sort(signers)
	return r, signers, nil
}

func readStatement(line string, chain [32]byte, keys map[string]ed25519.PublicKey) (Resumption, string, error) {
	sealed, err := base64.StdEncoding.DecodeString(line)
	if err != nil {
		return Resumption{}, "", fmt.Errorf("%s is no statement: %w", brief.Quote(line), err)
	}
	signer, payload, err := seal.Peek(sealed)
	if keys != nil {
		signer, payload, err = seal.Open(sealed, guard.DomainResumption, chain, func(da string) (ed25519.PublicKey, bool) {
			key, ok := keys[da]
			return key, ok
		})
	}
	if err != nil {
		return Resumption{}, "", fmt.Errorf("%s is no statement of a data aggregator of this chain: %w", brief.Quote(line), err)
	}
	m := &peerpb.Resumption{}
	if err := proto.Unmarshal(payload, m); err != nil {
		return Resumption{}, "", fmt.Errorf("statement of %s: %w", signer, err)
	}
	r := Resumption{Epoch: m.GetEpoch(), Height: m.GetHeight(), View: m.GetView()}
	if len(m.GetBlock()) != len(r.Block) {
		return Resumption{}, "", fmt.Errorf("statement of %s: block: %d bytes, want %d", signer, len(m.GetBlock()), len(r.Block))
	}
	copy(r.Block[:], m.GetBlock())
	return r, signer, nil
}

// KeepResumption keeps statements for the next start of the node. Even one of them
// keeps it from voting in the views below: who signs must have kept its own.
func KeepResumption(cfg Config, text []byte) error {
	return wal.Dir(cfg.Dir).PutResumption(text)
}

// KeptResumption is what KeepResumption has kept and no start has used, nil if
// there is none.
func KeptResumption(cfg Config) ([]byte, error) { return wal.Dir(cfg.Dir).Resumption() }

// resumption is where the node takes part again, nil if it just goes on. hold says
// why it may do neither now.
func (n *Node) resumption(epoch Epoch) (r *Resumption, hold error) {
	text, err := n.logs.Resumption()
	if err != nil {
		return nil, err
	}
	if text == nil {
		return nil, nil
	}
	got, signers, err := ReadResumption(text, n.cfg.ChainID, nil)
	if err == nil && got.Epoch >= epoch.Number {
		got, signers, err = ReadResumption(text, n.cfg.ChainID, n.cfg.keysOf(epoch))
	}
	if err != nil {
		return nil, fmt.Errorf("statements to resume: %w", err)
	}
	quorum := wire.Quorum(len(epoch.Order))
	height := n.height.Load()
	switch {
	case got.Epoch < epoch.Number: // that epoch is over
		return nil, n.logs.Resumed()
	case len(signers) < quorum:
		return nil, fmt.Errorf("statements to resume %s: of %s alone, want %d: run da resume with those of the others", got, strings.Join(signers, ", "), quorum)
	case got.Epoch > epoch.Number || got.Height > height:
		return nil, fmt.Errorf("statements to resume %s: this data aggregator is at block %d", got, height)
	}
	hash, err := hashAt(n.cfg, got.Height)
	if err == nil {
		err = unused(n.logs, n.cfg, got)
	}
	if err == nil && hash != got.Block {
		err = fmt.Errorf("this data aggregator has another block %d", got.Height)
	}
	if err == nil && height > got.Height {
		var view uint64
		if view, err = viewAt(n.cfg, got.Height+1); err == nil && view < got.View {
			err = fmt.Errorf("this data aggregator holds block %d, which was decided before, in view %d", got.Height+1, view)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("statements to resume %s: %w", got, err)
	}
	return &got, nil
}

// resume lets the book begin again.
func (k *keeper) resume(r *Resumption, epoch Epoch) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	entry := k.book.Resume(r.View, r.Height-epoch.LastHeight, r.round(len(epoch.Order)))
	k.lost = nil
	k.promised.Store(k.book.Promised())
	return k.write(entry, false)
}
