package consensus

import (
	"crypto/sha256"
	"errors"
	"slices"
	"sync"
	"time"

	"fairwatt/aggregator/consensus/guard"
	"fairwatt/proto/peerpb"
	"fairwatt/proto/wire"

	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
	"google.golang.org/protobuf/proto"
)

// This file brings together members whose view changes are apart. The library
// moves one view at a time, and only when a quorum wishes for that very view;
// members that lost messages, or were restarted, would wish for different ones.

// helpEvery bounds how often one wish of a member is answered, and how often this
// node is hurried on; helpMost, how many of its wishes in that time. An answer is a
// wish to who gets it.
const (
	helpEvery = 100 * time.Millisecond
	helpMost  = 4
)

// wishes are the views that others wished for last.
type wishes struct {
	view    map[uint64]uint64
	helped  map[uint64]time.Time // when the newest time of answers to a member began
	answers map[uint64]int       // in that time
	proved  map[uint64]time.Time
	hurried time.Time
}

// wished takes note of a member's wish for a view. A view that this node has
// come to before it wishes for again, to that member alone, which may have been
// cut off or down at the time.
func (i *instance) wished(sender uint64, vc *protos.ViewChange) {
	next, now := vc.GetNextView(), time.Now()
	view, promised := i.view.Load(), i.log.promised.Load()
	i.keepMu.Lock()
	same := i.wishes.view[sender] == next
	i.wishes.view[sender] = next
	if now.Sub(i.wishes.helped[sender]) >= helpEvery {
		i.wishes.helped[sender], i.wishes.answers[sender] = now, 0
	}
	help := next <= promised && i.wishes.answers[sender] < helpMost && !(same && i.wishes.answers[sender] > 0)
	if help {
		i.wishes.answers[sender]++
	}
	i.keepMu.Unlock()
	if help {
		i.sendTo(sender, &protos.Message{Content: &protos.Message_ViewChange{ViewChange: &protos.ViewChange{NextView: next}}})
	}
	i.prove(sender, now)
	at := max(view, i.log.changing.Load())
	if at >= i.target() {
		return
	}
	i.keepMu.Lock()
	hurry := now.Sub(i.wishes.hurried) >= helpEvery
	if hurry {
		i.wishes.hurried = now
	}
	i.keepMu.Unlock()
	if hurry {
		complain(i.bft, at)
	}
}

// target is the view this node is to come to without waiting: the one it has
// promised, or the highest that at least one honest member wishes for.
func (i *instance) target() uint64 {
	i.keepMu.Lock()
	defer i.keepMu.Unlock()
	var views []uint64
	for _, view := range i.wishes.view {
		views = append(views, view)
	}
	f := wire.Faulty(int(i.n()))
	slices.Sort(views)
	if len(views) <= f {
		return i.log.promised.Load()
	}
	return max(i.log.promised.Load(), views[len(views)-1-f])
}

// resume goes on with a view change that a restart broke off.
func (i *instance) resume() {
	if view := i.view.Load(); view < i.log.promised.Load() {
		complain(i.bft, view)
	}
}

// A member that missed a new view may hold on to a vote that it overruled. What it
// tells then can speak for ever against what the others took there. So it gets the
// new view from any member that has it.

// proveEvery bounds how often one member gets it from this node, proveMost from how many
// in that time: with fifty members it has some hundred kilobytes. They take turns, so
// that a liar's turn passes.
const (
	proveEvery = time.Second
	proveMost  = 6
)

// turn tells whether it is this node's to send a member the new view.
func (i *instance) turn(sender uint64, now time.Time) bool {
	n := i.n()
	first := uint64(now.UnixNano()/int64(proveEvery)) * proveMost
	return (i.self+n-sender%n+n-first%n)%n < proveMost
}

// offer is a new view that the library may enter, and the sequence that comes next.
type offer struct {
	view, seq uint64
	raw       []byte
}

// offer notes a new view that the library is shown, or makes: it was checked.
func (i *instance) offer(nv *protos.NewView) {
	p, err := i.seat.Conclude(nv)
	if err != nil {
		return // the library will not enter it either
	}
	raw, err := proto.Marshal(nv)
	if err != nil {
		return
	}
	i.markMu.Lock()
	defer i.markMu.Unlock()
	if p.View > i.offered[0].view {
		i.offered[1] = i.offered[0]
		i.offered[0] = offer{p.View, p.Seq, raw}
	}
}

// newView is asked when a view was entered.
func (i *instance) newView(view uint64) ([]byte, uint64) {
	i.markMu.Lock()
	defer i.markMu.Unlock()
	for _, o := range i.offered {
		if o.view == view && o.raw != nil {
			return o.raw, o.seq
		}
	}
	return nil, 0
}

// prove sends a member that wishes for views, while no block comes, the new view of
// the view that this node is in. A view that has just begun may be on its way there.
func (i *instance) prove(sender uint64, now time.Time) {
	if time.Duration(i.still.Load()) < i.node.cfg.ViewChangeTimeout || !i.turn(sender, now) {
		return
	}
	raw := i.log.proof()
	if raw == nil {
		return
	}
	i.keepMu.Lock()
	send := now.Sub(i.wishes.proved[sender]) >= proveEvery
	if send {
		i.wishes.proved[sender] = now
	}
	i.keepMu.Unlock()
	if send {
		i.node.send(i.name(sender), i.node.frame(&peerpb.Frame{Epoch: i.epoch.Number, Body: &peerpb.Frame_NewView{NewView: raw}}))
	}
}

// leftBehind helps a member that still votes in a view which this node has left. One that
// leads there wishes for no other view, and with two of four others each in a view that
// they lead, no one wishes enough.
func (i *instance) leftBehind(sender uint64, m *protos.Message) {
	if view, ok := messageView(m); ok && view < i.view.Load() && messageSeq(m) > i.last.Load() {
		i.prove(sender, time.Now())
	}
}

// errOverruled ends an instance that was shown a new view which it had missed.
var errOverruled = errors.New("a new view was missed")

// proofs remembers for proveEvery which new views were looked at and gained nothing. The
// others send the same one, and each of its entries has as many signatures as a block.
// What does not hold is not remembered. What gains nothing now may gain later.
type proofs struct {
	mu   sync.Mutex
	from time.Time
	seen map[[sha256.Size]byte]bool
}

// known tells whether a new view was noted not long ago.
func (p *proofs) known(digest [sha256.Size]byte, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.from) >= proveEvery {
		p.from, p.seen = now, make(map[[sha256.Size]byte]bool)
	}
	return p.seen[digest]
}

func (p *proofs) note(digest [sha256.Size]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen[digest] = true
}

// takeProof enters a view by what a quorum has signed. The library cannot be told:
// it begins again with what the book makes of it.
func (i *instance) takeProof(raw []byte) error {
	digest := sha256.Sum256(raw)
	if i.proofs.known(digest, time.Now()) {
		return nil
	}
	nv := &protos.NewView{}
	if err := proto.Unmarshal(raw, nv); err != nil {
		return guard.Refused("malformed", "new view: %v", err)
	}
	p, err := i.seat.Prove(nv)
	if err != nil {
		return err
	}
	i.noteBrings(p)
	entered, err := i.log.overrule(p, i.last.Load(), raw)
	if err != nil {
		return err
	}
	i.proofs.note(digest)
	if entered {
		i.node.log.Info("a new view was missed", "epoch", i.epoch.Number, "view", p.View, "seq", p.Seq)
		i.finish(errOverruled)
	}
	return nil
}
