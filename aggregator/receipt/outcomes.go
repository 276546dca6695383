package aggregator

import (
	"encoding/binary"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/store"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
)

// Bounds of the outcomes kept: in memory by record, on disk by block. Senders
// repeat what was not answered, and that is young.
const (
	keptAnswers = 200_000
	keptBlocks  = 20_000
)

// AnswersFile is the name of the file of outcomes in a DA's folder.
const AnswersFile = "answers.db"

var answersBucket = []byte("answers")

// answers remember what became of the newest records, for senders that ask
// again because they missed the receipt. The chain has only a hash of the
// outcomes, and executing it again from the genesis would take too long at a
// start, so they are kept beside it: without them, a record that was applied
// would after a power cut be answered as a replay.
type answers struct {
	byID *recent[answer]
	db   *bbolt.DB
}

type answer struct {
	height  uint64
	sender  string
	counter uint64
	outcome *fairwattpb.Outcome
	trade   *fairwattpb.TradeNotice // what the sender was told of its trade
}

// openAnswers reads what was kept of the blocks that the store has. What is
// kept of a block the store does not have is from a commit that a crash ended;
// it is written again when that block is.
func openAnswers(path string, s *store.Store) (*answers, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return nil, fmt.Errorf("open answers: %w", err)
	}
	a := &answers{byID: newRecent[answer](keptAnswers), db: db}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(answersBucket)
		return err
	})
	if err == nil {
		err = a.load(s)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read answers: %w", err), db.Close())
	}
	return a, nil
}

func (a *answers) load(s *store.Store) error {
	top := s.Height()
	from, left := top+1, keptAnswers/2
	for from > 1 && left > 0 { // as many of the newest blocks as fit
		cb, err := s.Block(from - 1)
		if err != nil {
			return err
		}
		header, _, _, err := ledger.DecodeBlock(cb.GetBlock())
		if err != nil {
			return err
		}
		left -= int(header.GetRecordCount())
		from--
	}
	return s.Blocks(from, top, a.loadBlock)
}

func (a *answers) loadBlock(height uint64, cb *fairwattpb.CertifiedBlock) error {
	var kept fairwattpb.Receipt
	err := a.db.View(func(tx *bbolt.Tx) error {
		return proto.Unmarshal(tx.Bucket(answersBucket).Get(heightKey(height)), &kept)
	})
	if err != nil {
		return err
	}
	_, _, records, err := ledger.DecodeBlock(cb.GetBlock())
	if err != nil || len(records) != len(kept.GetEntries()) {
		return err // nothing kept of this block: its outcomes are not known here
	}
	for i, sealed := range records {
		signer, payload, err := seal.Peek(sealed)
		if err != nil {
			return err
		}
		var r fairwattpb.Record
		if err := proto.Unmarshal(payload, &r); err != nil {
			return err
		}
		a.byID.put(seal.ID(sealed), answer{height: height, sender: signer, counter: r.GetCounter(),
			outcome: kept.GetEntries()[i].GetOutcome(), trade: kept.GetEntries()[i].GetTrade()})
	}
	return nil
}

func (a *answers) close() error { return a.db.Close() }

func (a *answers) has(id [32]byte) bool {
	_, ok := a.byID.get(id)
	return ok
}

func (a *answers) get(id [32]byte) (answer, bool) { return a.byID.get(id) }

// write puts the outcomes of a block on disk. It runs beside the store's write
// of the block, and both are synced before anything is said to a sender.
func (a *answers) write(st *ledger.Staged) error {
	told := toldSenders(st)
	kept := &fairwattpb.Receipt{}
	for i, o := range st.Outcomes() {
		kept.Entries = append(kept.Entries, &fairwattpb.ReceiptEntry{Outcome: o, Trade: told[i]})
	}
	value, err := proto.Marshal(kept)
	if err != nil {
		return fmt.Errorf("encode answers: %w", err)
	}
	height := st.Header().GetHeight()
	err = a.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(answersBucket)
		if height > keptBlocks {
			if err := b.Delete(heightKey(height - keptBlocks)); err != nil {
				return err
			}
		}
		return b.Put(heightKey(height), value)
	})
	if err != nil {
		return fmt.Errorf("write answers: %w", err)
	}
	return nil
}

// add makes the outcomes of a committed block known.
func (a *answers) add(st *ledger.Staged) {
	told := toldSenders(st)
	records, outcomes := st.Records(), st.Outcomes()
	height := st.Header().GetHeight()
	for i, r := range records {
		a.byID.put(r.ID, answer{height: height, sender: r.Record.GetSender(), counter: r.Record.GetCounter(),
			outcome: outcomes[i], trade: told[i]})
	}
}

// toldSenders returns what a block told each record's own sender of its trade,
// by the record's place.
func toldSenders(st *ledger.Staged) map[int]*fairwattpb.TradeNotice {
	told := make(map[int]*fairwattpb.TradeNotice)
	records := st.Records()
	for _, n := range st.Notices() {
		if n.Index >= 0 && n.Index < len(records) && n.To == records[n.Index].Record.GetSender() {
			told[n.Index] = n.Trade
		}
	}
	return told
}

func (a answer) entry(id [32]byte) *fairwattpb.ReceiptEntry {
	return &fairwattpb.ReceiptEntry{RecordId: id[:], Sender: a.sender, Counter: a.counter, Outcome: a.outcome, Trade: a.trade}
}

func heightKey(h uint64) []byte { return binary.BigEndian.AppendUint64(nil, h) }
