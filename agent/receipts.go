package agent

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"fairwatt/agent/receipt"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/members"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// What waits to be checked, of each data aggregator. A receipt that is dropped
// comes again: its record is sent again until it is settled.
const (
	maxReceiptsWaiting     = 256
	maxReceiptBytesWaiting = wire.MaxReceiptBytes
	// settleAtOnce is how many outcomes the loop takes before it acts on them
	// and looks at the tick again.
	settleAtOnce = 256
)

// A checker checks receipts on a goroutine of its own: what an aggregator sends may
// cost time to check, and none of it is the sensing loop's. Each data
// aggregator has its own queue, and one receipt of each is checked in turn, so
// that none waits behind another's flood.
type checker struct {
	// check is the collector's Add; the checker's goroutine is the only caller.
	check func(da string, sealed []byte) ([]receipt.Outcome, error)
	// members are who may answer; they change as the chain says. turned is told so. Only
	// the checker's goroutine uses both.
	members *members.Set
	behind  atomic.Uint64 // the height of members, for all
	turned  func(das map[string]ed25519.PublicKey)
	chain   *Chain // is told as well
	log     *slog.Logger
	settled chan []receipt.Outcome

	refused, dropped atomic.Uint64

	wake   chan struct{}
	mu     sync.Mutex
	queues map[string]*waiting
	das    []string // in turn
	turn   int
}

// waiting are the unchecked receipts of one data aggregator, the oldest first.
type waiting struct {
	sealed [][]byte
	bytes  int
}

func newChecker(chain *Chain, mine func(*fairwattpb.ReceiptEntry) bool, log *slog.Logger) *checker {
	collector := receipt.New(chain.ID, chain.DAs, mine)
	c := &checker{
		chain: chain, check: collector.Add, turned: collector.Members, members: members.New(chain.ID, chain.DAs), log: log,
		settled: make(chan []receipt.Outcome, 16), wake: make(chan struct{}, 1),
		queues: make(map[string]*waiting), das: slices.Sorted(maps.Keys(chain.DAs)),
	}
	for _, da := range c.das {
		c.queues[da] = &waiting{}
	}
	return c
}

// post takes a message and never waits: it runs on a goroutine of a pipe.
func (c *checker) post(m mqtt.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	q := c.queues[m.Topic[strings.LastIndexByte(m.Topic, '/')+1:]]
	if q == nil || len(m.Payload) > wire.MaxReceiptBytes {
		c.dropped.Add(1)
		return
	}
	for len(q.sealed) > 0 && (len(q.sealed) >= maxReceiptsWaiting || q.bytes+len(m.Payload) > maxReceiptBytesWaiting) {
		q.pop()
		c.dropped.Add(1)
	}
	q.sealed = append(q.sealed, m.Payload)
	q.bytes += len(m.Payload)
	select {
	case c.wake <- struct{}{}:
	default: // it is to wake already
	}
}

func (q *waiting) pop() []byte {
	first := q.sealed[0]
	q.sealed[0] = nil // the array behind the queue lives on
	q.sealed = q.sealed[1:]
	q.bytes -= len(first)
	return first
}

// next takes the oldest receipt of the next data aggregator that has one.
func (c *checker) next() (da string, sealed []byte, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range c.das {
		da = c.das[c.turn]
		c.turn = (c.turn + 1) % len(c.das)
		if q := c.queues[da]; len(q.sealed) > 0 {
			return da, q.pop(), true
		}
	}
	return "", nil, false
}

// run checks receipts until the context ends.
func (c *checker) run(ctx context.Context) {
	for ctx.Err() == nil {
		da, sealed, ok := c.next()
		if !ok {
			select {
			case <-ctx.Done():
			case <-c.wake:
			}
			continue
		}
		if members.AreTurns(sealed) {
			if err := c.follow(sealed); err != nil {
				c.refuse(da, err)
			}
			continue
		}
		outcomes, err := c.check(da, sealed)
		if err != nil {
			c.refuse(da, err)
		}
		if len(outcomes) == 0 {
			continue
		}
		select {
		case <-ctx.Done():
		case c.settled <- outcomes:
		}
	}
}

// follow takes over who the data aggregators are, as a quorum of those before has signed
// it: one that lies about it can hold it back, and make up nothing.
func (c *checker) follow(turns []byte) error {
	next, err := c.members.FollowAll(turns)
	if err != nil || next == c.members {
		return err
	}
	c.members = next
	c.behind.Store(next.Height())
	c.turned(next.Keys())
	c.chain.turn(next.Keys())
	c.log.Info("other data aggregators answer", "members", next.Names(), "behind_block", next.Height())
	c.mu.Lock()
	defer c.mu.Unlock()
	c.das, c.turn = next.Names(), 0
	for _, da := range c.das {
		if c.queues[da] == nil {
			c.queues[da] = &waiting{}
		}
	}
	return nil
}

// refuse counts a receipt that does not hold. The 1st, 2nd, 4th, 8th and so on
// are logged: a flood of them fills no disk.
func (c *checker) refuse(da string, err error) {
	if n := c.refused.Add(1); n&(n-1) == 0 {
		c.log.Warn("receipt refused", "da", da, "refused", n, "err", err)
	}
}

// counts returns how many receipts did not hold and how many were not looked
// at.
func (c *checker) counts() (refused, dropped uint64) {
	if c == nil {
		return 0, 0
	}
	return c.refused.Load(), c.dropped.Load()
}

// guarded is a goroutine beside the loop. If it panics, no energy flows for a trade
// any more.
func (a *Agent) guarded(ctx context.Context, run func(context.Context)) error {
	ended := false
	defer func() {
		if !ended {
			_ = a.power.open() // it logs, and the program ends
		}
	}()
	run(ctx)
	ended = true
	return nil
}

// settledBy is what the checker hands over; nil without a chain.
func (a *Agent) settledBy() <-chan []receipt.Outcome {
	if a.receipts == nil {
		return nil
	}
	return a.receipts.settled
}

// settle takes outcomes, and those that wait behind them, up to a bound.
func (a *Agent) settle(outcomes []receipt.Outcome) {
	for taken := 0; ; {
		taken += len(outcomes)
		for _, o := range outcomes {
			switch {
			case o.Busy != nil:
				a.putOff(o.Busy)
				continue
			case o.Held:
				a.held(o)
				continue
			case o.Entry.GetAccount() != nil:
				a.purse(o)
				continue
			}
			decoded, err := a.decode(o)
			if err != nil {
				a.receipts.refuse("f+1 of them", err)
				continue
			}
			if t := decoded.Trade; t != nil {
				a.log.Info("trade", "trade", t.GetTradeId(), "status", t.GetStatus(), "height", decoded.Height, "paid_micro", t.GetPaidMicro(), "reason", cut(t.GetReason()))
			}
			a.outcomes = append(a.outcomes, decoded)
		}
		a.publisher.wakeQueue() // what was settled makes room for what waits
		if taken >= settleAtOnce {
			return
		}
		select {
		case outcomes = <-a.receipts.settled:
		default:
			return
		}
	}
}

// held tells that some data aggregators refused a record, too few to give it up.
// The outbox sends it again as it does without any answer.
func (a *Agent) held(o receipt.Outcome) {
	a.counters.held++
	a.log.Warn("record refused by some, kept and sent again", "id", fmt.Sprintf("%.8x", o.Entry.GetRecordId()),
		"code", o.Entry.GetOutcome().GetCode(), "reason", cut(o.Entry.GetOutcome().GetReason()))
}

// maxPutOff bounds how long data aggregators may put records off: a closed gate is
// to be on the chain soon.
const maxPutOff = 2 * time.Second

// putOff waits as long as data aggregators ask for, and sends what they did not
// take again.
func (a *Agent) putOff(b *receipt.Busy) {
	a.counters.putOff++
	a.log.Debug("data aggregators are busy", "from_counter", b.From, "after", b.After)
	a.deps.Outbox.Hold(b.From, a.publisher.now().Add(min(max(b.After, 0), maxPutOff)))
}

// mine says whether an entry may change anything here: it is of a record in
// the outbox, of a trade, or of a record by which another takes part in one.
// It is called on the checker's goroutine and reads nothing that the loop writes.
// Which trades are this device's the traders know: a notice may come close
// behind the payment that makes the trade known.
func (a *Agent) mine(e *fairwattpb.ReceiptEntry) bool {
	trades := a.cfg.Sell != nil || a.cfg.Buy != nil
	if e.GetSender() == a.cfg.Device && len(e.GetRecordId()) == len([32]byte{}) && a.deps.Outbox.Holds([32]byte(e.GetRecordId())) {
		return true
	}
	if !trades {
		return false
	}
	if e.GetTrade().GetTradeId() != "" {
		return true
	}
	if e.GetAccount() != nil {
		return e.GetSender() == a.cfg.Device
	}
	if len(e.GetRecord()) == 0 {
		return false
	}
	record, err := recordOf(e.GetRecord())
	if err != nil {
		return false
	}
	switch body := record.GetBody().(type) {
	case *fairwattpb.Record_Pay:
		return body.Pay.GetSeller() == a.cfg.Device
	case *fairwattpb.Record_Response:
		return body.Response.GetToken().GetBuyer() == a.cfg.Device
	case *fairwattpb.Record_Bill:
		return true
	}
	return false
}

// recordOf decodes a sealed record whose bytes others vouch for.
func recordOf(sealed []byte) (*fairwattpb.Record, error) {
	signer, payload, err := seal.Peek(sealed)
	if err != nil {
		return nil, fmt.Errorf("record in receipt: %w", err)
	}
	record := new(fairwattpb.Record)
	if err := proto.Unmarshal(payload, record); err != nil {
		return nil, fmt.Errorf("record in receipt: %w", err)
	}
	if record.GetSender() != signer {
		return nil, fmt.Errorf("record in receipt: sender %q is not signer %q", record.GetSender(), signer)
	}
	return record, nil
}
