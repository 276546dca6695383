package consensus

import (
	"bytes"
	"fmt"
	"time"

	"fairwatt/aggregator/consensus/guard"
	"fairwatt/proto/fairwattpb"

	"github.com/hyperledger-labs/SmartBFT/pkg/types"
	"google.golang.org/protobuf/encoding/protowire"
)

// store commits the decided block of a sequence and reports whether it ends
// the epoch. checked says that the application has verified it.
func (n *Node) store(i *instance, cb *fairwattpb.CertifiedBlock, seq uint64, checked bool) (ends bool, err error) {
	n.app.Lock()
	defer n.app.Unlock()
	height, have := i.epoch.LastHeight+seq, n.cfg.App.Height()
	switch {
	case height <= have:
		return n.sameBlock(i, cb, height)
	case height > have+1:
		return false, &faultError{err: fmt.Errorf("decided block %d while at %d: blocks are missing", height, have)}
	}
	if !checked {
		if err := n.cfg.App.VerifyCertified(cb); err != nil {
			return false, &faultError{err: fmt.Errorf("decided block %d: %w", height, err)}
		}
	}
	return n.commit(cb, height)
}

// sameBlock checks that a block decided again is the stored one. Another one
// would mean that the chain has forked.
func (n *Node) sameBlock(i *instance, cb *fairwattpb.CertifiedBlock, height uint64) (ends bool, err error) {
	stored, err := n.cfg.App.Block(height)
	if err != nil {
		return false, &faultError{fmt.Errorf("read block %d: %w", height, err), true}
	}
	if !bytes.Equal(stored.GetBlock(), cb.GetBlock()) {
		return false, &faultError{fmt.Errorf("FORK: a second block was certified at height %d; this node stops", height), true}
	}
	return n.cfg.App.Epoch().Number != i.epoch.Number, nil
}

// commit stores a verified block; n.app is held.
func (n *Node) commit(cb *fairwattpb.CertifiedBlock, height uint64) (ends bool, err error) {
	done := n.pace.begin(&n.pace.commits)
	decision, err := n.cfg.App.Commit(cb)
	done()
	if err != nil {
		return false, &faultError{fmt.Errorf("store block %d: %w", height, err), true}
	}
	n.pool.Remove(decision.RecordIDs, true, time.Now())
	n.height.Store(height)
	n.count.blocks.Add(1)
	n.count.records.Add(uint64(len(decision.RecordIDs)))
	n.progressed(time.Now())
	n.mu.Lock()
	close(n.commits)
	n.commits = make(chan struct{})
	n.mu.Unlock()
	if decision.Reseats {
		n.reseat()
	}
	return decision.EndsEpoch, nil
}

// clearPool removes the records of a fetched block from the library's pool.
func (i *instance) clearPool(cb *fairwattpb.CertifiedBlock) {
	for _, info := range i.RequestsFromProposal(types.Proposal{Payload: cb.GetBlock()}) {
		// It answers with an error when the record is not there: mostly so.
		_ = i.bft.Pool.RemoveRequest(info)
	}
}

// discard drops a record that no block can hold and says so.
func (n *Node) discard(i *instance, id string, sealed []byte, reason error) {
	if i != nil && i.booted {
		_ = i.bft.Pool.RemoveRequest(types.RequestInfo{ID: id}) // not there: as wanted
	}
	gone := n.pool.Remove([]string{id}, false, time.Now())
	if len(gone) == 0 || !gone[0].Own {
		return
	}
	n.count.droppedLater.Add(1)
	if n.cfg.Dropped != nil {
		n.cfg.Dropped(sealed, reason)
	}
}

// over reports whether the application has left an epoch.
func (n *Node) over(epoch Epoch) bool {
	n.app.Lock()
	defer n.app.Unlock()
	return n.cfg.App.Epoch().Number != epoch.Number
}

// checkDecision lets the application look at a decision one block ahead before
// the library stores it unseen.
func (i *instance) checkDecision(d guard.Decision) error {
	p := d.Proposal
	votes := make([]types.Signature, 0, len(d.Votes))
	for _, s := range d.Votes {
		votes = append(votes, types.Signature{ID: s.GetSigner(), Value: s.GetValue(), Msg: s.GetMsg()})
	}
	if header, _, err := split(p.GetPayload()); err != nil || !bytes.Equal(header, p.GetHeader()) {
		return guard.Refused("view_data_decision", "block of sequence %d does not fit its header", d.Seq)
	}
	cb, err := i.certify(p.GetHeader(), p.GetPayload(), p.GetMetadata(), votes, d.Seq)
	if err != nil {
		return guard.Refused("view_data_decision", "%v", err)
	}
	n := i.node
	n.app.Lock()
	defer n.app.Unlock()
	if n.cfg.App.Height() >= i.epoch.LastHeight+d.Seq {
		return nil // stored meanwhile
	}
	if err := n.cfg.App.VerifyCertified(cb); err != nil {
		return guard.Refused("view_data_decision", "%v", err)
	}
	return nil
}

// alreadyKnown tells the library's two harmless refusals from a lack of room.
// It exports neither from a package that can be imported.
func alreadyKnown(err error) bool {
	text := err.Error()
	return text == "request already exists" || text == "request already processed"
}

// Fields of a fairwattpb.Block.
const (
	blockHeader  = 1
	blockRecords = 2
)

// split finds header and records in the bytes of a block, without a copy. It is
// no check: the application decodes the block strictly, once, in Verify.
func split(block []byte) (header []byte, records [][]byte, err error) {
	for b := block; len(b) > 0; {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil, nil, fmt.Errorf("split block: %w", protowire.ParseError(n))
		}
		b = b[n:]
		if n = protowire.ConsumeFieldValue(field, kind, b); n < 0 {
			return nil, nil, fmt.Errorf("split block: %w", protowire.ParseError(n))
		}
		if kind == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(b)
			switch field {
			case blockHeader:
				header = value
			case blockRecords:
				records = append(records, value)
			}
		}
		b = b[n:]
	}
	return header, records, nil
}
