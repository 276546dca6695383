package consensus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"

	"fairwatt/aggregator/consensus/guard"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

const (
	// fetchTimeout bounds a question for blocks to one DA.
	fetchTimeout = 2 * time.Second
	// fetchBlocks is how many are asked for at once.
	fetchBlocks = 256
	// behindFor is how long peers must be ahead, without a block here,
	// before the instance is given up for catching up.
	behindFor = 100 * time.Millisecond
	// lostFor is the same within an epoch, where the library catches up
	// itself when it can.
	lostFor = 1500 * time.Millisecond
)

// errStopFetch ends a fetch at the end of an epoch.
var errStopFetch = errors.New("enough")

// A member that took doubtAfter to give none of the blocks that it says it has is asked
// last for doubtFor, and only for blocks that others say they have too: each question to
// it may cost the whole fetchTimeout.
const (
	doubtAfter = fetchTimeout / 8
	doubtFor   = 10 * time.Second
)

// noteGave books what a question for blocks to a member came to.
func (n *Node) noteGave(da string, before uint64, began, now time.Time) {
	ps := n.peer(da)
	if ps == nil {
		return
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	switch {
	case n.height.Load() > before:
		ps.withheld = time.Time{}
	case ps.height > before && now.Sub(began) >= doubtAfter:
		ps.withheld = now
	}
}

// doubted says whether a member is in doubt at a time.
func (n *Node) doubted(da string, now time.Time) bool {
	ps := n.peer(da)
	if ps == nil {
		return false
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return !ps.withheld.IsZero() && now.Sub(ps.withheld) < doubtFor
}

// needless says whether a member in doubt need not be asked: this node has what f + 1
// others claim.
func (n *Node) needless(da string, epoch Epoch) bool {
	_, height := n.vouched(epoch)
	return height <= n.height.Load() && n.doubted(da, time.Now())
}

// sources returns the other members, those with the most blocks first. How many it has
// a member says itself, so one that gave none comes last for a while.
func (n *Node) sources(epoch Epoch) []string {
	type source struct {
		da     string
		height uint64
		doubt  bool
	}
	now := time.Now()
	var out []source
	for _, da := range epoch.Order {
		if ps := n.peer(da); ps != nil && da != n.cfg.Self {
			_, height := ps.claims()
			out = append(out, source{da, height, n.doubted(da, now)})
		}
	}
	sort.SliceStable(out, func(a, b int) bool {
		if out[a].doubt != out[b].doubt {
			return out[b].doubt
		}
		return out[a].height > out[b].height
	})
	names := make([]string, len(out))
	for k, s := range out {
		names[k] = s.da
	}
	return names
}

// fetchMissing fetches, verifies and stores what others have of the epoch and
// this node has not. It asks those ahead, and one more if none seems ahead.
// The error is one that ends the node.
func (n *Node) fetchMissing(ctx context.Context, i *instance) error {
	silent := 0
	for _, da := range n.sources(i.epoch) {
		_, claims := n.peer(da).claims()
		if claims <= n.height.Load() {
			if silent++; silent > 1 {
				return nil
			}
		}
		if n.over(i.epoch) || ctx.Err() != nil {
			return nil
		}
		if n.needless(da, i.epoch) {
			continue
		}
		err := n.fetchFrom(ctx, da, i, &i.epoch)
		var fault *faultError
		if errors.As(err, &fault) && fault.final {
			return err
		}
		if err != nil && ctx.Err() == nil {
			n.log.Debug("fetch blocks", "from", da, "err", err)
		}
	}
	return nil
}

// fetchFrom takes over the blocks of one DA; with an epoch given, those up to
// its end. An error is final if asking another DA would not help.
func (n *Node) fetchFrom(ctx context.Context, da string, i *instance, until *Epoch) error {
	whole := ctx
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	defer func(before uint64, began time.Time) {
		if whole.Err() == nil { // and not because this node stops
			n.noteGave(da, before, began, time.Now())
		}
	}(n.height.Load(), time.Now())
	for {
		from := n.height.Load() + 1
		got := 0
		err := n.cfg.Link.Fetch(ctx, da, from, from+fetchBlocks-1, func(cb *fairwattpb.CertifiedBlock) error {
			ends, err := n.adopt(cb)
			if err != nil {
				return err
			}
			got++
			if i != nil {
				i.clearPool(cb)
				i.noteCertificate(cb)
				if err := i.log.remembers(n.cfg.Self, n.height.Load()-i.epoch.LastHeight, cb); err != nil {
					i.fault(err) // to start again, without a vote
				}
			}
			if ends && until != nil {
				return errStopFetch
			}
			return nil
		})
		switch {
		case errors.Is(err, errStopFetch):
			return nil
		case err != nil:
			return err
		case got < fetchBlocks:
			return nil
		}
	}
}

// adopt verifies and stores the next block from another DA.
func (n *Node) adopt(cb *fairwattpb.CertifiedBlock) (ends bool, err error) {
	n.app.Lock()
	defer n.app.Unlock()
	if err := n.cfg.App.VerifyCertified(cb); err != nil {
		return false, fmt.Errorf("fetched block %d: %w", n.height.Load()+1, err)
	}
	before := n.count.records.Load()
	ends, err = n.commit(cb, n.height.Load()+1)
	if err == nil {
		n.count.fetched.Add(1)
		n.fetched(int(n.count.records.Load() - before))
	}
	if err == nil && ends && n.wholeIn.Load() > 0 {
		// A crash on the way through epochs must not cost the vote in the last.
		if err := n.logs.Prepare(n.cfg.App.Epoch().Number + 1); err != nil {
			return ends, &faultError{err, true}
		}
	}
	return ends, err
}

// vouched returns the epoch and height that at least one honest peer has
// reached: the (f+1)-th highest claims.
func (n *Node) vouched(epoch Epoch) (number, height uint64) {
	var epochs, heights []uint64
	for _, da := range epoch.Order {
		if ps := n.peer(da); ps != nil && da != n.cfg.Self {
			e, h := ps.claims()
			epochs, heights = append(epochs, e), append(heights, h)
		}
	}
	f := wire.Faulty(len(epoch.Order))
	slices.Sort(epochs)
	slices.Sort(heights)
	return epochs[len(epochs)-1-f], heights[len(heights)-1-f]
}

// behind reports whether f + 1 peers are so far ahead that this node will not
// get there by itself: peers that left an epoch do not help those still in it.
func (n *Node) behind(epoch Epoch) bool {
	number, height := n.vouched(epoch)
	since := time.Duration(min(n.quiet.Load(), n.ahead.Load()))
	return number > epoch.Number && since > behindFor || height > n.height.Load() && since > lostFor
}

// catchUp fetches blocks, over epochs, while no instance runs. At the start, when
// no peer has been heard yet, it asks each once. Later it goes on until it has
// what f + 1 peers claim, or no peer gives more.
func (n *Node) catchUp(ctx context.Context, heard bool) error {
	epoch := n.enter()
	if err := epoch.validate(); err != nil {
		return fmt.Errorf("consensus: %w", err)
	}
	if n.height.Load() == 0 {
		if err := n.leap(ctx, epoch, false); err != nil {
			return err
		}
	}
	for ctx.Err() == nil {
		before, gone := n.height.Load(), 0
		for _, da := range n.sources(epoch) {
			if _, claims := n.peer(da).claims(); heard && (claims <= n.height.Load() || n.needless(da, epoch)) {
				continue
			}
			err := n.askOne(ctx, da, heard)
			var fault *faultError
			if errors.As(err, &fault) && fault.final {
				return err
			}
			if errors.Is(err, wire.ErrArchived) {
				gone++
			}
			if err != nil && ctx.Err() == nil {
				n.log.Debug("catch up", "from", da, "err", err)
			}
		}
		epoch = n.enter()
		switch _, height := n.vouched(epoch); {
		case height <= n.height.Load():
			if heard {
				n.arrived()
			}
			return nil
		case n.height.Load() > before:
		case gone > wire.Faulty(len(epoch.Order)):
			return n.leap(ctx, epoch, true)
		default:
			return nil
		}
	}
	return nil
}

// leap lets the application begin with a snapshot, if it finds one.
func (n *Node) leap(ctx context.Context, epoch Epoch, must bool) error {
	if n.cfg.Leap == nil {
		return nil
	}
	done, err := n.cfg.Leap(ctx, n.sources(epoch), must, func(da string, err error) {
		n.refuse(da, guard.Refused("snapshot", "%v", err))
	})
	switch {
	case err != nil:
		return fmt.Errorf("consensus: %w", err)
	case done:
		return ErrLeap
	}
	return nil
}

// askOne is a shorter question at the start, when a DA may well not be up.
func (n *Node) askOne(ctx context.Context, da string, heard bool) error {
	if !heard {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, fetchTimeout/4)
		defer cancel()
	}
	return n.fetchFrom(ctx, da, nil, nil)
}
