package consensus

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"sort"
	"time"

	"fairwatt/aggregator/consensus/book"
	"fairwatt/aggregator/consensus/guard"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/peerpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"

	"github.com/hyperledger-labs/SmartBFT/pkg/types"
	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
	"google.golang.org/protobuf/proto"
)

// This file is what the library asks of its surroundings.

// Nodes are the ids of the members.
func (i *instance) Nodes() []uint64 {
	ids := make([]uint64, i.n())
	for k := range ids {
		ids[k] = uint64(k + 1)
	}
	return ids
}

// SendConsensus sends a message to a member. A pre-prepare, which the library
// sends to each in turn, goes down the tree once instead.
func (i *instance) SendConsensus(target uint64, m *protos.Message) {
	if i.ctx.Err() != nil {
		return // stopped, or left behind
	}
	if m.GetPrePrepare() != nil {
		i.sendMu.Lock()
		again := i.sentPP == m
		i.sentPP = m
		i.sendMu.Unlock()
		if !again {
			i.originate(m)
		}
		return
	}
	if vc := m.GetViewChange(); vc != nil && i.past(vc.GetNextView()) {
		return
	}
	if m.GetViewData() != nil {
		m = i.yielding(m)
	}
	if nv := m.GetNewView(); nv != nil {
		i.offer(nv)
	}
	if key, ok := voteOf(m); ok && i.carries(key, m) {
		i.speak(key, m)
		return
	}
	i.sendTo(target, m)
}

// past notes a view that the library wishes for, and reports whether it has wished for
// a higher one: then it wishes again, to all, at each wish of one that it takes to lag.
// Two members that have not heard of each other's newest wish would answer one another
// so without an end, and each answer goes to all. Who lags is helped by [instance.wished].
func (i *instance) past(view uint64) bool {
	i.sendMu.Lock()
	defer i.sendMu.Unlock()
	i.wish = max(i.wish, view)
	return view < i.wish
}

// sendTo sends a message straight to a member. View data is a promise that goes to the next
// leader alone: that there is one more is told to all, or those that answer this node after it
// was put back from a backup may not know.
func (i *instance) sendTo(target uint64, m *protos.Message) {
	n := i.node
	n.send(i.name(target), i.encode(m))
	if m.GetViewData() == nil {
		return
	}
	status := n.frame(&peerpb.Frame{Mark: i.mark(), Body: &peerpb.Frame_Status{Status: &peerpb.Status{}}})
	for _, da := range i.epoch.Order {
		if da != n.cfg.Self {
			n.send(da, status)
		}
	}
}

// encode frames a message once for all its receivers, and keeps own votes to
// send them again.
func (i *instance) encode(m *protos.Message) []byte {
	i.sendMu.Lock()
	defer i.sendMu.Unlock()
	if i.sentMsg == m {
		return i.sentRaw
	}
	raw, err := proto.Marshal(m)
	if err != nil {
		i.fault(fmt.Errorf("encode message: %w", err))
		return nil
	}
	f := &peerpb.Frame{Epoch: i.epoch.Number, Body: &peerpb.Frame_Message{Message: raw}}
	if m.GetPrepare() != nil || m.GetCommit() != nil || m.GetViewData() != nil || m.GetNewView() != nil { // a new view has the leader's own view data
		f.Mark = i.mark()
	}
	i.sentMsg, i.sentRaw = m, i.node.frame(f)
	if key, ok := voteOf(m); ok {
		i.noteOwn(key, m)
	}
	return i.sentRaw
}

// SendTransaction sends a record to a member.
func (i *instance) SendTransaction(target uint64, request []byte) {
	i.node.send(i.name(target), i.node.frame(&peerpb.Frame{
		Epoch: i.epoch.Number, Body: &peerpb.Frame_Records{Records: &peerpb.Records{Sealed: [][]byte{request}}},
	}))
}

// AssembleProposal makes a block of the records at hand. The library takes no
// error: without a block it gets a proposal that it will itself refuse.
func (i *instance) AssembleProposal(metadata []byte, requests [][]byte) types.Proposal {
	n := i.node
	none := types.Proposal{Metadata: metadata}
	md, err := guard.Metadata(metadata)
	if err != nil {
		n.log.Error("propose block", "err", err)
		return none
	}
	taken, err := i.takenBefore(md)
	if !errors.Is(err, book.ErrBelow) {
		if waited := i.below.Swap(0); waited > 1 {
			n.log.Info("proposes again", "epoch", i.epoch.Number, "view", md.GetViewId(), "refused", waited)
		}
	}
	switch {
	case errors.Is(err, book.ErrBelow):
		// The library leads the old view on, and asks again and again.
		n.count.below.Add(1)
		if i.below.Add(1) == 1 {
			n.log.Warn("proposes nothing for now", "epoch", i.epoch.Number, "err", err)
		}
		return none
	case err != nil:
		n.log.Error("propose block", "err", err)
		return none
	case taken != nil:
		return *taken
	}
	n.app.Lock()
	payload, err := n.cfg.App.Propose(i.ctx, i.epoch.Number, md.GetViewId(), n.cfg.Self, requests)
	n.app.Unlock()
	if err != nil {
		if i.ctx.Err() == nil {
			n.log.Error("propose block", "epoch", i.epoch.Number, "seq", md.GetLatestSequence(), "err", err)
		}
		return none
	}
	header, records, err := split(payload)
	if err != nil {
		n.log.Error("propose block", "err", err)
		return none
	}
	if len(records) < len(requests) {
		i.leftOut(records, requests)
	}
	return types.Proposal{Header: header, Payload: payload, Metadata: metadata}
}

// leftOut drops the records that the block left out because no block can hold
// them.
func (i *instance) leftOut(records, requests [][]byte) {
	in := make(map[string]bool, len(records))
	for _, r := range records {
		in[string(r)] = true
	}
	for _, r := range requests {
		if in[string(r)] {
			continue
		}
		id, _, err := i.node.cfg.App.CheckRecord(r)
		if err == nil && i.node.pool.LeftOut(id) {
			err = errLeftOut
		}
		if err != nil {
			if id == "" {
				id = i.RequestID(r).ID
			}
			i.node.discard(i, id, r, err)
		}
	}
}

var errLeftOut = errors.New("left out of every block")

// VerifyProposal checks a proposed block.
func (i *instance) VerifyProposal(p types.Proposal) ([]types.RequestInfo, error) {
	md, err := guard.Metadata(p.Metadata)
	if err != nil {
		return nil, err
	}
	header, _, err := split(p.Payload)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(header, p.Header) {
		return nil, errors.New("the block's header is not the proposal's")
	}
	if err := i.log.mayTake(md.GetViewId(), md.GetLatestSequence(), p.Digest()); err != nil {
		return nil, err
	}
	n := i.node
	n.app.Lock()
	ids, err := n.cfg.App.Verify(p.Payload, i.epoch.Number, md.GetViewId(), i.name(i.leader(md.GetViewId())))
	n.app.Unlock()
	if err != nil {
		return nil, err
	}
	i.verified.Clear()
	i.verified.Store(sha256.Sum256(p.Payload), struct{}{})
	infos := make([]types.RequestInfo, len(ids))
	for k, id := range ids {
		infos[k] = types.RequestInfo{ID: id}
	}
	return infos, nil
}

// VerifyRequest is the full check of a record.
func (i *instance) VerifyRequest(val []byte) (types.RequestInfo, error) {
	id, _, err := i.node.cfg.App.CheckRecord(val)
	return types.RequestInfo{ID: id}, err
}

// RequestID names a record; the empty id stands for bytes that are none.
func (i *instance) RequestID(req []byte) types.RequestInfo {
	id, _, err := i.node.cfg.App.RecordID(req)
	if err != nil {
		return types.RequestInfo{}
	}
	return types.RequestInfo{ID: id}
}

// RequestsFromProposal names the records of a block.
func (i *instance) RequestsFromProposal(p types.Proposal) []types.RequestInfo {
	_, records, err := split(p.Payload)
	if err != nil {
		return nil
	}
	infos := make([]types.RequestInfo, 0, len(records))
	for _, r := range records {
		infos = append(infos, i.RequestID(r))
	}
	return infos
}

// VerificationSequence never changes within an instance.
func (i *instance) VerificationSequence() uint64 { return 0 }

// AuxiliaryData is what a vote carries next to the proposal. Its round is none of the
// library's.
func (i *instance) AuxiliaryData(msg []byte) []byte {
	if wire.VoteRound(msg) > 0 {
		return nil
	}
	return msg
}

// signVote is called by the vote book alone.
func (i *instance) signVote(p types.Proposal, aux []byte) []byte {
	if md, err := guard.Metadata(p.Metadata); err == nil {
		i.node.votedFor.Store(i.epoch.LastHeight + md.GetLatestSequence())
	}
	i.node.mu.Lock()
	i.node.lastVote = time.Now()
	i.node.mu.Unlock()
	c, payload := &i.node.cfg, guard.VotePayload(p.Header, p.Metadata, aux)
	signature := i.sign(seal.DomainVote, payload)
	c.Held.Put(seal.Mark(i.seat.Keys[c.Self], seal.DomainVote, c.ChainID, c.Self, payload, signature))
	return signature
}

func (i *instance) signViewData(msg []byte) []byte {
	return i.sign(guard.DomainViewData, guard.ViewDataPayload(i.epoch.Number, msg))
}

// VerifyConsenterSig checks a member's vote.
func (i *instance) VerifyConsenterSig(s types.Signature, p types.Proposal) ([]byte, error) {
	if err := i.seat.VerifyVote(s.ID, p.Header, p.Metadata, s.Msg, s.Value); err != nil {
		return nil, err
	}
	i.noteVote(s, p)
	return s.Msg, nil
}

// VerifySignature checks view data.
func (i *instance) VerifySignature(s types.Signature) error {
	return i.seat.VerifyViewData(s.ID, s.Msg, s.Value)
}

// inOneRound is those of some votes that may be counted together, where they are a quorum.
// The votes of other rounds were kept from the library (see [keeper.counts]), but for one
// that waited for a lock while the round changed.
func inOneRound(votes []types.Signature, quorum int) ([]types.Signature, error) {
	of := make(map[uint64][]types.Signature)
	for _, v := range votes {
		round := wire.VoteRound(v.Msg)
		of[round] = append(of[round], v)
	}
	if len(of) < 2 {
		return votes, nil
	}
	for _, same := range of {
		if len(same) >= quorum {
			return same, nil
		}
	}
	return nil, errors.New("votes of several rounds, and no quorum in one")
}

// certify makes a block and the votes for it a certified block.
func (i *instance) certify(header, payload, metadata []byte, votes []types.Signature, seq uint64) (*fairwattpb.CertifiedBlock, error) {
	hash := sha256.Sum256(header)
	c := &fairwattpb.Certificate{Height: i.epoch.LastHeight + seq, HeaderHash: hash[:], Metadata: metadata}
	votes, err := inOneRound(votes, i.seat.Quorum())
	if err != nil {
		return nil, err
	}
	seen := make(map[uint64]bool)
	for _, v := range votes {
		if i.name(v.ID) == "" || seen[v.ID] {
			continue
		}
		seen[v.ID] = true
		c.Votes = append(c.Votes, &fairwattpb.Vote{Da: i.name(v.ID), Aux: v.Msg, Signature: v.Value})
	}
	sort.Slice(c.Votes, func(a, b int) bool { return c.Votes[a].Da < c.Votes[b].Da })
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode certificate: %w", err)
	}
	return &fairwattpb.CertifiedBlock{Block: payload, Certificate: raw}, nil
}

// decisionOf is the way back from a certified block of this epoch.
func (i *instance) decisionOf(cb *fairwattpb.CertifiedBlock) (types.Proposal, []types.Signature, *protos.ViewMetadata, error) {
	fail := func(err error) (types.Proposal, []types.Signature, *protos.ViewMetadata, error) {
		return types.Proposal{}, nil, nil, err
	}
	header, _, err := split(cb.GetBlock())
	if err != nil {
		return fail(err)
	}
	c := &fairwattpb.Certificate{}
	if err := proto.Unmarshal(cb.GetCertificate(), c); err != nil {
		return fail(fmt.Errorf("decode certificate: %w", err))
	}
	md, err := guard.Metadata(c.GetMetadata())
	if err != nil {
		return fail(err)
	}
	if md.GetLatestSequence() != c.GetHeight()-i.epoch.LastHeight {
		return fail(fmt.Errorf("sequence %d does not belong to height %d", md.GetLatestSequence(), c.GetHeight()))
	}
	var votes []types.Signature
	for _, v := range c.GetVotes() {
		votes = append(votes, types.Signature{ID: i.ids[v.GetDa()], Value: v.GetSignature(), Msg: v.GetAux()})
	}
	return types.Proposal{Header: header, Payload: cb.GetBlock(), Metadata: c.GetMetadata()}, votes, md, nil
}

// Deliver stores a decided block before it returns. The last one of an epoch
// ends the instance: the library takes an empty member list as its end.
func (i *instance) Deliver(p types.Proposal, votes []types.Signature) types.Reconfig {
	md, err := guard.Metadata(p.Metadata)
	if err != nil {
		i.die(&faultError{err: err})
	}
	i.deciding.Store(md.GetLatestSequence())
	cb, err := i.certify(p.Header, p.Payload, p.Metadata, votes, md.GetLatestSequence())
	if err != nil {
		i.die(&faultError{err: err})
	}
	_, checked := i.verified.Load(sha256.Sum256(p.Payload))
	ends, err := i.node.store(i, cb, md.GetLatestSequence(), checked)
	if err != nil {
		i.die(err)
	}
	i.decided(md)
	if i.signs.Delivered(md.GetLatestSequence()) && !ends {
		// The library would lock up behind this call: end the instance, which
		// frees it, and start another.
		i.finish(errSeized)
		return types.Reconfig{InLatestDecision: !i.reported.Swap(true)}
	}
	return types.Reconfig{InLatestDecision: ends && i.endEpoch()}
}

var errSeized = &faultError{err: errors.New("smartbft aborted a view that had just decided")}

// endEpoch ends the instance and reports whether it was the first to say so:
// told twice, the library would lock itself up.
func (i *instance) endEpoch() bool {
	i.finish(nil)
	return !i.reported.Swap(true)
}

// decided forgets what a decision makes old.
func (i *instance) decided(md *protos.ViewMetadata) {
	seq := md.GetLatestSequence()
	for {
		was := i.last.Load()
		if seq <= was || i.last.CompareAndSwap(was, seq) {
			break
		}
	}
	i.shown.Store(md.GetViewId())
	i.entered(md.GetViewId())
	i.growAhead(md.GetViewId() + 1)
	i.sendMu.Lock()
	for at := range i.votes {
		if at.seq <= seq {
			delete(i.votes, at)
		}
	}
	i.sendMu.Unlock()
	i.forget(seq)
	i.bundles.settle(md.GetViewId(), seq, time.Now())
}

// Sync fetches the blocks this node lacks of the epoch and returns the newest
// decision it has.
func (i *instance) Sync() types.SyncResponse {
	if err := i.node.fetchMissing(i.ctx, i); err != nil {
		i.die(err)
	}
	p, votes, md, err := i.lastDecision()
	if err != nil {
		i.die(&faultError{err: err})
	}
	i.decided(md)
	out := types.SyncResponse{Latest: types.Decision{Proposal: p, Signatures: votes}}
	if i.node.over(i.epoch) {
		out.Reconfig.InReplicatedDecisions = i.endEpoch()
	}
	return out
}
