package aggregator

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"

	"fairwatt/aggregator/consensus"
	"fairwatt/aggregator/ledger"
	"fairwatt/proto/seal"
)

// A PeerSetter is a link that can be told who the other data aggregators are.
type PeerSetter interface {
	SetPeers(peers map[string]string, observers []string) error
}

// guestEpochs is for how long one that has left is told how far the chain is, and may
// fetch blocks: it may lack its last one.
const guestEpochs = 8

// seats puts into an epoch who may send, and who is to hear, beside its members.
func (a *app) seats(e *consensus.Epoch) {
	all := a.state.Aggregators()
	e.Keys = make(map[string]ed25519.PublicKey, len(all))
	for _, da := range all {
		key, err := seal.ParseKey(string(da.PublicKey))
		if err != nil {
			continue // the state has checked it
		}
		switch {
		case da.Status == ledger.StatusCandidate, da.Status == ledger.StatusRetired && da.Epoch+guestEpochs > e.Number:
			e.Guests = append(e.Guests, da.ID)
		case da.Status == ledger.StatusRetired:
			if da.ID == a.self {
				e.Left = true
			}
			continue
		}
		e.Keys[da.ID] = key
		if da.ID == a.self {
			e.Left = da.Status == ledger.StatusRetired
		}
	}
}

// setPeers tells the link who the others are now.
func (d *DA) setPeers() {
	link, ok := d.deps.Link.(PeerSetter)
	if !ok {
		return
	}
	peers := make(map[string]string)
	epoch := d.state.Epoch()
	for _, da := range d.state.Aggregators() {
		if da.ID != d.cfg.ID && (da.Status != ledger.StatusRetired || da.Epoch+guestEpochs > epoch) {
			peers[da.ID] = da.Address
		}
	}
	if err := link.SetPeers(peers, slices.Concat(d.state.Centres(), d.deps.Observers)); err != nil {
		d.log.Warn("the link to another data aggregator cannot be made", "err", err)
	}
}

// isMember tells whether this DA takes part in the present epoch.
func (d *DA) isMember() bool { return slices.Contains(d.state.Order(), d.cfg.ID) }

// ErrRetired is in the error with which [DA.Run] ends once this data aggregator has left.
var ErrRetired = consensus.ErrRetired

// mayRejoin refuses a rejoin of one that no centre has admitted.
func (a *app) mayRejoin() error {
	da, ok := a.state.Aggregator(a.self)
	switch {
	case !ok:
		return errors.New("no centre has admitted this data aggregator yet: mc admit")
	case da.Status == ledger.StatusRetired:
		return fmt.Errorf("this data aggregator has retired in epoch %d", da.Epoch)
	case da.Status == ledger.StatusCandidate && da.Joins:
		return errors.New("it joins when the epoch ends")
	}
	return nil
}
