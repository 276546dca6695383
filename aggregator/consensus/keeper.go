package consensus

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"fairwatt/aggregator/consensus/book"
	"fairwatt/aggregator/consensus/guard"
	"fairwatt/aggregator/consensus/wal"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"

	"github.com/hyperledger-labs/SmartBFT/pkg/types"
	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
	"google.golang.org/protobuf/proto"
)

// keeper joins the vote book with its log: what the book notes is on disk before
// anyone hears of it. To the library it is the log.
type keeper struct {
	file    wal.Log
	entered func(view uint64) // is told of each new view
	failed  func(error)       // is told when nothing more can be written
	// newView knows the new view by which a view was entered, and what sequence
	// came next; nil if it does not.
	newView func(view uint64) ([]byte, uint64)
	writes  func() (done func()) // is told of each write, to measure it

	mu       sync.Mutex
	book     *book.Book
	lost     error // the book does not tell all: nothing is signed any more
	promised atomic.Uint64
	changing atomic.Uint64 // the view of the newest view data of this instance
	said     atomic.Uint64
	brought  atomic.Pointer[book.Brought] // the newest block that a view brought along
}

// counts reports whether a vote may be counted with those that this node counts: votes
// for one block that were given in different rounds decide nothing together.
func (k *keeper) counts(c *protos.Commit) bool {
	brought := book.Brought{}
	if b := k.brought.Load(); b != nil {
		brought = *b
	}
	return brought.Counts(c.GetView(), c.GetSeq(), c.GetDigest(), wire.VoteRound(c.GetSignature().GetMsg()))
}

// Append writes down what the library is about to do, if it may.
func (k *keeper) Append(entry []byte, _ bool) error {
	k.mu.Lock()
	if k.lost != nil {
		defer k.mu.Unlock()
		return k.lost
	}
	before := k.book.Entered()
	kind, err := k.book.Note(entry)
	if err != nil {
		k.mu.Unlock()
		return fmt.Errorf("vote book: %w", err)
	}
	view := k.book.Entered()
	if view > before {
		if nv, seq := k.newView(view); nv != nil {
			k.book.Prove(view, seq, nv)
		}
	}
	if kind == book.Fresh || view > before {
		entry = k.book.Carry(entry)
	}
	if kind != book.Nothing {
		err = k.write(entry, kind == book.Fresh)
	}
	k.promised.Store(k.book.Promised())
	k.mu.Unlock()
	if err == nil && view > before {
		k.entered(view)
	}
	return err
}

// write appends to the log, synced; k.mu is held.
func (k *keeper) write(entry []byte, truncateTo bool) error {
	done := k.writes()
	err := k.file.Append(k.book.Stamp(entry), truncateTo)
	done()
	if err != nil {
		err = fmt.Errorf("write log: %w", err)
		k.failed(err)
		return err
	}
	k.said.Store(k.book.Said())
	return nil
}

func (k *keeper) mayTake(view, seq uint64, digest string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.lost != nil {
		return k.lost
	}
	return k.book.MayTake(view, seq, digest)
}

// underWay reports whether a block after a decision was taken.
func (k *keeper) underWay(last uint64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.book.UnderWay(last)
}

func (k *keeper) taken(view, seq uint64) (*protos.PrePrepare, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.book.Taken(view, seq)
}

// promise asks for leave to sign view data.
func (k *keeper) promise(vd *protos.ViewData) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.lost != nil {
		return k.lost
	}
	entry, err := k.book.Promise(vd)
	if err != nil {
		return err
	}
	if entry != nil {
		err = k.write(entry, false)
	}
	k.promised.Store(k.book.Promised())
	k.changing.Store(vd.GetNextView())
	return err
}

func (k *keeper) vote(view, seq uint64, digest string, sign func() *protos.Signature) (*protos.Signature, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.lost != nil {
		return nil, k.lost
	}
	return k.book.Sign(view, seq, digest, sign)
}

// adopt asks for leave to vote for a block that the new view brings along for
// which view data was given last.
func (k *keeper) adopt(p *protos.Proposal, sign func(round uint64) *protos.Signature) (*protos.Signature, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.lost != nil {
		return nil, k.lost
	}
	under := k.changing.Load()
	vote, entry, err := k.book.Adopt(under, p, func() *protos.Signature { return sign(under) })
	if err == nil && entry != nil {
		if nv, seq := k.newView(under); nv != nil {
			k.book.Prove(under, seq, nv)
			entry = k.book.Carry(entry)
		}
		err = k.write(entry, false)
	}
	k.noteBrought()
	return vote, err
}

// noteBrought notes the newest block that a view brought along; k.mu is held.
func (k *keeper) noteBrought() {
	if b, ok := k.book.Brought(); ok {
		k.brought.Store(&b)
	}
}

// remembers looks whether the book knows of a vote that this node gave, as the
// certificate of a block shows. If not, the log is an older one, put back from a
// backup, or has lost its end; then nothing is signed any more in this epoch.
func (k *keeper) remembers(da string, seq uint64, cb *fairwattpb.CertifiedBlock) error {
	voted, err := votedFor(da, cb)
	if err != nil || !voted {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if seq > k.book.Seq() && k.lost == nil {
		k.lost = fmt.Errorf("%w: it ends at sequence %d, and this DA voted for sequence %d", wal.ErrLost, k.book.Seq(), seq)
	}
	return k.lost
}

// lose ends all signing: the book does not tell all.
func (k *keeper) lose(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.lost == nil {
		k.lost = err
	}
}

// overrule lets the book enter a view that a quorum has made without this node, and
// reports whether it did.
func (k *keeper) overrule(p guard.Proof, last uint64, newView []byte) (bool, error) {
	digest := ""
	if p.Brings != nil {
		digest = book.Digest(p.Brings)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.lost != nil {
		return false, k.lost
	}
	entry, err := k.book.Overrule(p.View, p.Seq, last, digest, newView)
	if entry == nil || err != nil {
		return false, err
	}
	k.promised.Store(k.book.Promised())
	return true, k.write(entry, false)
}

func (k *keeper) proof() []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.book.Proof()
}

func votedFor(da string, cb *fairwattpb.CertifiedBlock) (bool, error) {
	c := &fairwattpb.Certificate{}
	if err := proto.Unmarshal(cb.GetCertificate(), c); err != nil {
		return false, fmt.Errorf("decode certificate: %w", err)
	}
	return slices.ContainsFunc(c.GetVotes(), func(v *fairwattpb.Vote) bool { return v.GetDa() == da }), nil
}

// lookBack compares the book with the blocks that are stored.
func (i *instance) lookBack(last uint64) error {
	for seq := i.log.book.Seq() + 1; seq <= last; seq++ {
		cb, err := i.node.cfg.App.Block(i.epoch.LastHeight + seq)
		if err != nil {
			return fmt.Errorf("read block %d: %w", i.epoch.LastHeight+seq, err)
		}
		if err := i.log.remembers(i.node.cfg.Self, seq, cb); err != nil {
			return err
		}
	}
	return nil
}

// SignProposal votes for a block. Without auxiliary data it is one that a new
// view brings along.
func (i *instance) SignProposal(p types.Proposal, aux []byte) *types.Signature {
	sign := func(aux []byte) *protos.Signature {
		return &protos.Signature{Signer: i.self, Msg: aux, Value: i.signVote(p, aux)}
	}
	var vote *protos.Signature
	md, err := guard.Metadata(p.Metadata)
	switch {
	case err != nil:
	case aux == nil:
		vote, err = i.log.adopt(&protos.Proposal{
			Header: p.Header, Payload: p.Payload, Metadata: p.Metadata, VerificationSequence: uint64(p.VerificationSequence),
		}, func(round uint64) *protos.Signature { return sign(wire.RoundAux(round)) })
	default:
		vote, err = i.log.vote(md.GetViewId(), md.GetLatestSequence(), p.Digest(), func() *protos.Signature { return sign(aux) })
	}
	if errors.Is(err, book.ErrBelow) && aux != nil {
		// The view is being given up: its end was asked for before the view data
		// was signed. The library takes no error, so its goroutine ends here.
		i.node.log.Debug("no vote", "err", err)
		runtime.Goexit()
	}
	if err != nil {
		i.die(&faultError{err: err})
	}
	return &types.Signature{ID: vote.GetSigner(), Msg: vote.GetMsg(), Value: vote.GetValue()}
}

// takenBefore is the block that this node took for a place before the library
// began the view anew: it is proposed again. Below a view promised there is none
// to be made: the caller is to wait a moment.
func (i *instance) takenBefore(md *protos.ViewMetadata) (*types.Proposal, error) {
	if promised := i.log.promised.Load(); md.GetViewId() < promised {
		pause := time.NewTimer(i.node.cfg.StallTimeout)
		defer pause.Stop()
		select {
		case <-pause.C:
		case <-i.ctx.Done():
		case <-i.ended:
		}
		return nil, fmt.Errorf("view %d, sequence %d: %w (%d)", md.GetViewId(), md.GetLatestSequence(), book.ErrBelow, promised)
	}
	pp, err := i.log.taken(md.GetViewId(), md.GetLatestSequence())
	if pp == nil || err != nil {
		return nil, err
	}
	p := pp.GetProposal()
	return &types.Proposal{
		Header: p.GetHeader(), Payload: p.GetPayload(), Metadata: p.GetMetadata(), VerificationSequence: int64(p.GetVerificationSequence()),
	}, nil
}

// Sign signs view data.
func (i *instance) Sign(msg []byte) []byte {
	vd := &protos.ViewData{}
	err := proto.Unmarshal(msg, vd)
	if err == nil {
		err = i.log.promise(vd)
	}
	if err != nil {
		// After a restart the library knows what the book knows.
		i.die(&faultError{err: fmt.Errorf("view data: %w", err)})
	}
	if vd.GetNextView() < i.target() {
		complain(i.bft, vd.GetNextView()) // go on to the view that others are at, or this node was before a restart
	}
	return i.signViewData(msg)
}
