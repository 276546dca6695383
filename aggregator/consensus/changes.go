package consensus

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"fairwatt/proto/wire"
)

// This file is for members that come and go. Who is not a member of an epoch follows
// it: a candidate asks by its record to be one of the next. Who has left stays for a
// while, for those that lack its last block.

// ErrRetired ends [Node.Run] of a data aggregator that has left.
var ErrRetired = errors.New("consensus: this data aggregator has retired: the others go on without it")

var (
	errNotMember = errors.New("not a member of this epoch")
	errOtherKey  = errors.New("its key is not the one that the chain knows: give it the new one (next_seal_key)")
)

// lingerFor bounds how long one that has left waits until the others have its last
// block.
const lingerFor = 30 * time.Second

// keysOf are the keys of an epoch's data aggregators, members or not.
func (c *Config) keysOf(epoch Epoch) map[string]ed25519.PublicKey {
	if epoch.Keys != nil {
		return epoch.Keys
	}
	return c.Keys
}

// signer returns this node's private key of an epoch, nil if it has not got it.
func (c *Config) signer(epoch Epoch) crypto.Signer {
	want, ok := c.keysOf(epoch)[c.Self]
	for _, key := range append([]crypto.Signer{c.Key}, c.MoreKeys...) {
		if pub, is := key.Public().(ed25519.PublicKey); ok && is && pub.Equal(want) {
			return key
		}
	}
	return nil
}

// mayVote says why this node cannot take part in an epoch, nil if it can.
func (n *Node) mayVote(epoch Epoch) error {
	switch {
	case !slices.Contains(epoch.Order, n.cfg.Self):
		return errNotMember
	case n.cfg.signer(epoch) == nil:
		return errOtherKey
	}
	return nil
}

// peer is what is known of another data aggregator; nil of a stranger.
func (n *Node) peer(id string) *peerState { return (*n.peers.Load())[id] }

// meet makes room for data aggregators that have not been met; n.mu is held.
func (n *Node) meet(epoch Epoch) {
	now := *n.peers.Load()
	var more map[string]*peerState
	for id := range n.cfg.keysOf(epoch) {
		if now[id] != nil {
			continue
		}
		if more == nil {
			more = maps.Clone(now)
		}
		more[id] = &peerState{name: id}
	}
	if more != nil {
		n.peers.Store(&more)
	}
}

// reseat takes over what has changed of the data aggregators within the epoch; n.app is
// held. Its members stay the same.
func (n *Node) reseat() {
	epoch := n.cfg.App.Epoch()
	n.mu.Lock()
	defer n.mu.Unlock()
	if epoch.Number == n.epoch.Number {
		n.epoch.Keys, n.epoch.Guests = epoch.Keys, epoch.Guests
		n.meet(epoch)
	}
}

// known tells whether the chain knows this node, as far as the node has it. The others
// tell a stranger nothing: it asks them for blocks.
func (n *Node) known(epoch Epoch) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.epoch.Number == epoch.Number {
		epoch = n.epoch // with what has changed within it
	}
	_, known := n.cfg.keysOf(epoch)[n.cfg.Self]
	return known
}

// hearers are those that are told how far this node is: the members, and the guests.
func (n *Node) hearers(epoch Epoch) []string {
	if !n.known(epoch) {
		return nil // a stranger's words would be held against it
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Concat(epoch.Order, n.epoch.Guests)
}

// linger is the end of one that has left: it answers until a quorum of those that stay
// have gone on, and gets out of the way.
func (n *Node) linger(ctx context.Context, epoch Epoch) error {
	text := fmt.Sprintf("retired with block %d", epoch.LastHeight)
	n.following.Store(&text)
	n.log.Info("retired: the others go on without this data aggregator", "block", epoch.LastHeight, "epoch", epoch.Number)
	poll := time.NewTicker(behindFor)
	defer poll.Stop()
	end := time.NewTimer(lingerFor)
	defer end.Stop()
	for {
		there := 0
		for _, da := range epoch.Order {
			if ps := n.peer(da); ps != nil {
				if number, height := ps.claims(); number >= epoch.Number || height >= epoch.LastHeight {
					there++
				}
			}
		}
		if there >= wire.Quorum(len(epoch.Order)) {
			return ErrRetired
		}
		select {
		case <-ctx.Done():
			return nil
		case <-end.C:
			return ErrRetired
		case <-poll.C:
		}
	}
}
