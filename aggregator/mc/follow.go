package mc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fairwatt/aggregator/ledger"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// This file follows the chain. A block is certified, so any aggregator may bring it;
// what one can do is to keep blocks back. So one is followed, and the others are asked
// in turn for the block that would come next. Who has it when the one that is followed
// does not brings it, and is followed instead. Of f+1 that are asked one is honest.

const (
	// askEvery is how often another is asked, askFor how long it may take to answer:
	// mostly there is no next block, and no answer.
	askEvery, askFor = 2 * time.Second, time.Second
	// behindAfter is how long the one that is followed may have brought nothing where
	// another had a block.
	behindAfter = 3 * time.Second
	// stallAfter is how long no one may have brought a block while records wait.
	stallAfter = 10 * time.Second
)

var (
	errStalled = errors.New("no block although records wait")
	errBehind  = errors.New("another aggregator had a block first")
	errAsked   = errors.New("asked for one block")
)

// follow takes blocks from one aggregator, and from the next when that one fails, or
// stays behind others.
func (c *Centre) follow(ctx context.Context) error {
	for i := 0; ; {
		c.mu.Lock()
		from := c.state.Height() + 1
		c.lastNew, c.lastFollowed = c.cfg.Now(), c.cfg.Now()
		c.mu.Unlock()
		chains := c.chains()
		i %= len(chains)
		one, cancel := context.WithCancelCause(ctx)
		next := (i + 1) % len(chains)
		watch := make(chan struct{})
		go func() {
			defer close(watch)
			next = c.watchOver(one, cancel, chains, i)
		}()
		err := chains[i].Follow(one, from, func(cb *fairwattpb.CertifiedBlock) error {
			_, err := c.block(cb)
			c.mu.Lock()
			c.lastFollowed = c.cfg.Now()
			c.mu.Unlock()
			return err
		})
		cancel(nil)
		<-watch
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, wire.ErrArchived) {
			err = errors.Join(err, c.leap(ctx, chains[i]))
		}
		c.cfg.Logger.Warn("following another aggregator", "was", i, "now", next, "err", err, "cause", context.Cause(one))
		i = next
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(tick):
		}
	}
}

// watchOver asks the others until the one that is followed is left, and returns whom
// to follow next.
func (c *Centre) watchOver(ctx context.Context, cancel context.CancelCauseFunc, chains []Chain, followed int) (next int) {
	t := time.NewTicker(askEvery)
	defer t.Stop()
	n := len(chains)
	other := followed
	for {
		select {
		case <-ctx.Done():
			return (followed + 1) % n
		case <-t.C:
		}
		c.mu.Lock()
		stalled := len(c.pending) > 0 && c.cfg.Now().Sub(c.lastNew) > stallAfter
		c.mu.Unlock()
		if stalled {
			cancel(errStalled)
			return (followed + 1) % n
		}
		if n == 1 {
			continue
		}
		if other = (other + 1) % n; other == followed {
			other = (other + 1) % n
		}
		had := c.ask(ctx, chains[other], other)
		c.mu.Lock()
		behind := had && c.cfg.Now().Sub(c.lastFollowed) > behindAfter
		c.mu.Unlock()
		if behind {
			cancel(errBehind)
			return other
		}
	}
}

// ask takes the next block from an aggregator, and reports whether that was news.
func (c *Centre) ask(ctx context.Context, chain Chain, other int) (had bool) {
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	c.mu.Lock()
	from := c.state.Height() + 1
	c.mu.Unlock()
	err := chain.Follow(ctx, from, func(cb *fairwattpb.CertifiedBlock) error {
		var err error
		if had, err = c.block(cb); err != nil {
			return err
		}
		return errAsked
	})
	if err != nil && !errors.Is(err, errAsked) && ctx.Err() == nil {
		c.cfg.Logger.Debug("ask for the next block", "of", other, "err", err)
	}
	return had
}

// block verifies and applies one certified block, unless another aggregator has brought
// it; then it is no news.
func (c *Centre) block(cb *fairwattpb.CertifiedBlock) (news bool, err error) {
	header, _, _, err := ledger.DecodeBlock(cb.GetBlock())
	if err != nil {
		return false, fmt.Errorf("block: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if header.GetHeight() <= c.state.Height() {
		return false, nil
	}
	st, err := c.state.VerifyCertified(cb)
	if err != nil {
		return false, fmt.Errorf("block %d: %w", c.state.Height()+1, err)
	}
	if err := c.state.Commit(st); err != nil {
		return false, fmt.Errorf("block %d: %w", c.state.Height()+1, err)
	}
	c.lastNew, c.changed = c.cfg.Now(), true
	if st.Reseats() || st.EndsEpoch() {
		c.reseat()
	}
	outcomes := st.Outcomes()
	for i, rec := range st.Records() {
		c.seen(rec, outcomes[i])
	}
	return true, nil
}
