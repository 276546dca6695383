package page

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"

	"google.golang.org/protobuf/proto"

	"fairwatt/aggregator/console"
	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/store"
	"fairwatt/proto/fairwattpb"
)

// A journal is what the page shows of the chain beyond the state: the newest
// blocks, and when each trade last changed.
type journal struct {
	state         *ledger.State
	trades, shown int // bounds of what is kept

	mu      sync.Mutex
	blocks  []console.Block // newest first
	changed []console.Trade // newest change first
	words   []console.Word  // of people to devices, newest first
	records uint64
}

// load fills the journal from the store, so that a restarted DA does not show
// an empty chain.
func (j *journal) load(s *store.Store) error {
	top := s.Height()
	j.records = j.state.Totals().Records
	from := uint64(1)
	if top > uint64(j.shown) {
		from = top - uint64(j.shown) + 1
	}
	err := s.Blocks(max(from, s.First()), top, func(_ uint64, cb *fairwattpb.CertifiedBlock) error {
		b, words, err := summary(cb)
		if err == nil {
			j.blocks = slices.Insert(j.blocks, 0, b)
			j.words = spoken(j.words, words)
		}
		return err
	})
	if err != nil {
		return err
	}
	trades := j.state.Trades(nil)
	slices.SortFunc(trades, func(a, b ledger.Trade) int {
		return cmp.Or(cmp.Compare(b.OpenedMs, a.OpenedMs), cmp.Compare(a.ID, b.ID))
	})
	for _, t := range trades[:min(len(trades), j.trades)] {
		j.changed = append(j.changed, showTrade(t, 0, t.OpenedMs))
	}
	return nil
}

// add notes a committed block.
func (j *journal) add(st *ledger.Staged, votes int) {
	changed := make(map[string]bool)
	for _, n := range st.Notices() {
		if n.Trade != nil {
			changed[n.Trade.GetTradeId()] = true
		}
	}
	b := showBlock(st.Header(), st.HeaderHash(), len(st.Block()), votes)
	var words []console.Word
	for _, c := range st.Records() {
		if w, is := showWord(c.Record, b.Height); is {
			words = append(words, w)
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.blocks = slices.Insert(j.blocks, 0, b)
	j.blocks = j.blocks[:min(len(j.blocks), j.shown)]
	j.records += uint64(b.Records)
	j.words = spoken(j.words, words)
	if len(changed) == 0 {
		return
	}
	j.changed = slices.DeleteFunc(j.changed, func(t console.Trade) bool { return changed[t.ID] })
	for id := range changed {
		if t, ok := j.state.Trade(id); ok {
			j.changed = slices.Insert(j.changed, 0, showTrade(t, b.Height, b.TimeMs))
		}
	}
	j.changed = j.changed[:min(len(j.changed), j.trades)]
}

// trade returns a trade and when it last changed.
func (j *journal) trade(id string) (console.Trade, bool) {
	j.mu.Lock()
	i := slices.IndexFunc(j.changed, func(t console.Trade) bool { return t.ID == id })
	if i >= 0 {
		defer j.mu.Unlock()
		return j.changed[i], true
	}
	j.mu.Unlock()
	t, ok := j.state.Trade(id)
	return showTrade(t, 0, t.OpenedMs), ok
}

// summary is what is shown of a block of the store, and the words in it.
func summary(cb *fairwattpb.CertifiedBlock) (console.Block, []console.Word, error) {
	header, hash, records, err := ledger.DecodeBlock(cb.GetBlock())
	if err != nil {
		return console.Block{}, nil, err
	}
	var cert fairwattpb.Certificate
	if err := proto.Unmarshal(cb.GetCertificate(), &cert); err != nil {
		return console.Block{}, nil, fmt.Errorf("certificate of block %d: %w", header.GetHeight(), err)
	}
	words, err := wordsOf(records, header.GetHeight())
	return showBlock(header, hash, len(cb.GetBlock()), len(cert.GetVotes())), words, err
}

func showBlock(h *fairwattpb.BlockHeader, hash [32]byte, bytes, votes int) console.Block {
	return console.Block{
		Height: h.GetHeight(), Hash: hex.EncodeToString(hash[:]), TimeMs: h.GetTimeMs(),
		Epoch: h.GetEpoch(), View: h.GetView(), AccountingNode: h.GetAccountingNode(),
		Records: int(h.GetRecordCount()), Bytes: bytes, Votes: votes,
	}
}

func showTrade(t ledger.Trade, height uint64, atMs int64) console.Trade {
	volume := t.VolumeWh
	if volume == 0 {
		volume = t.TokenVolumeWh
	}
	return console.Trade{
		ID: t.ID, Status: t.Status, Seller: t.Seller, Buyer: t.Buyer, VolumeWh: volume, EnergyWh: t.BilledWh,
		PriceMicroPerKWh: t.PriceMicroPerKWh, EscrowMicro: t.EscrowMicro, PaidMicro: t.PaidMicro, ReturnedMicro: t.ReturnedMicro,
		HeldByHazard: t.Held, Reason: t.Reason, Height: height, UpdatedMs: atMs,
	}
}
