package receipt

import (
	"encoding/binary"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"

	"fairwatt/aggregator/intake"
	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/store"
	"fairwatt/proto/boltfile"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
)

// Bounds of the outcomes kept: in memory by record, on disk by block. Senders
// repeat what was not answered, and that is young.
const (
	keptOutcomes = 200_000
	keptBlocks   = 20_000
)

// File is the name of the file of outcomes in a DA's folder.
const File = "answers.db"

var bucket = []byte("answers")

// Outcomes remember what became of the newest records.
type Outcomes struct {
	byID *intake.Recent[outcome]
	db   *boltfile.DB

	damaged string // where a damaged file was put; empty: there was none
}

type outcome struct {
	height  uint64
	sender  string
	counter uint64
	said    *fairwattpb.Outcome
	trade   *fairwattpb.TradeNotice // what the sender was told of its trade
}

// Open reads what was kept of the blocks that the store has. What was kept of a
// block the store does not have is from a commit that a crash ended; it is
// written again when that block is. A damaged file is put aside and a new one
// begun; Damaged says so.
func Open(path string, s *store.Store) (*Outcomes, error) {
	options := &bbolt.Options{FreelistType: bbolt.FreelistMapType, Timeout: boltfile.LockTimeout}
	db, err := boltfile.Open(path, options)
	aside := ""
	if errors.Is(err, boltfile.ErrDamaged) {
		// The blocks are in the store; only what was told of them is lost.
		if aside, err = boltfile.Aside(path); err == nil {
			db, err = boltfile.Open(path, options)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open outcomes %s: %w", path, err)
	}
	o := &Outcomes{byID: intake.NewRecent[outcome](keptOutcomes), db: db, damaged: aside}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucket)
		return err
	})
	if err == nil {
		err = o.load(s)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read outcomes: %w", err), db.Close())
	}
	return o, nil
}

func (o *Outcomes) load(s *store.Store) error {
	top := s.Height()
	from, left := top+1, keptOutcomes/2
	for from > s.First() && left > 0 { // as many of the newest blocks as fit
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
	return s.Blocks(from, top, o.loadBlock)
}

func (o *Outcomes) loadBlock(height uint64, cb *fairwattpb.CertifiedBlock) error {
	var kept fairwattpb.Receipt
	err := o.db.View(func(tx *bbolt.Tx) error {
		return proto.Unmarshal(tx.Bucket(bucket).Get(heightKey(height)), &kept)
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
		o.byID.Put(seal.ID(sealed), outcome{height: height, sender: signer, counter: r.GetCounter(),
			said: kept.GetEntries()[i].GetOutcome(), trade: kept.GetEntries()[i].GetTrade()})
	}
	return nil
}

// Damaged is where Open put a damaged file, or empty.
func (o *Outcomes) Damaged() string { return o.damaged }

// Close closes the file.
func (o *Outcomes) Close() error { return o.db.Close() }

// Has says whether the outcome of a record is known: the record is final.
func (o *Outcomes) Has(id [32]byte) bool {
	_, ok := o.byID.Get(id)
	return ok
}

// Write puts the outcomes of a block on disk, synced when it returns. It may
// run at the same time as the store's write of the block.
func (o *Outcomes) Write(st *ledger.Staged) error {
	told := toldSenders(st)
	kept := &fairwattpb.Receipt{}
	for i, said := range st.Outcomes() {
		kept.Entries = append(kept.Entries, &fairwattpb.ReceiptEntry{Outcome: said, Trade: told[i]})
	}
	value, err := proto.Marshal(kept)
	if err != nil {
		return fmt.Errorf("encode outcomes: %w", err)
	}
	height := st.Header().GetHeight()
	err = o.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucket)
		if height > keptBlocks {
			if err := b.Delete(heightKey(height - keptBlocks)); err != nil {
				return err
			}
		}
		return b.Put(heightKey(height), value)
	})
	if err != nil {
		return fmt.Errorf("write outcomes: %w", err)
	}
	return nil
}

// Add makes the outcomes of a committed block known.
func (o *Outcomes) Add(st *ledger.Staged) {
	told := toldSenders(st)
	records, outcomes := st.Records(), st.Outcomes()
	height := st.Header().GetHeight()
	for i, r := range records {
		o.byID.Put(r.ID, outcome{height: height, sender: r.Record.GetSender(), counter: r.Record.GetCounter(),
			said: outcomes[i], trade: told[i]})
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

func (o outcome) entry(id [32]byte) *fairwattpb.ReceiptEntry {
	return &fairwattpb.ReceiptEntry{RecordId: id[:], Sender: o.sender, Counter: o.counter, Outcome: o.said, Trade: o.trade}
}

func heightKey(h uint64) []byte { return binary.BigEndian.AppendUint64(nil, h) }
