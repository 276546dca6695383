package consensus

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"fairwatt/aggregator/consensus/pool"
	"fairwatt/aggregator/wct"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/peerpb"
	"fairwatt/proto/seal"
)

// Application is what agreement needs of the ledger's side. CheckRecord,
// RecordID, Height and Block are called from many goroutines at once; of the
// others never more than one runs at a time.
type Application interface {
	// Propose builds the next block of records, leaving out those that may
	// not stand in it. A block without records is valid: it is the answer
	// when none may.
	Propose(ctx context.Context, epoch, view uint64, leader string, records [][]byte) (block []byte, err error)
	// Verify checks everything about a proposed block (encoding, header,
	// height, previous hash, time, every record, the roots) and that it is
	// of this epoch, view and leader. It returns the ids of all its records.
	// It may be called again for a block that it has seen.
	Verify(block []byte, epoch, view uint64, leader string) (recordIDs []string, err error)
	// RecordID returns the id of a record and its sender, unchecked. It is
	// called often and must be cheap.
	RecordID(sealed []byte) (id, sender string, err error)
	// CheckRecord is the full check of a record, of another DA or kept for a
	// while: an error says why no block can hold it as things are.
	CheckRecord(sealed []byte) (id, sender string, err error)
	// VerifyCertified checks a block decided by others against the
	// application's state, with its certificate.
	VerifyCertified(cb *fairwattpb.CertifiedBlock) error
	// Commit stores a block that Verify or VerifyCertified has accepted, on
	// disk before it returns. An error stops the node.
	Commit(cb *fairwattpb.CertifiedBlock) (Decision, error)
	// Height is that of the newest stored block, 0 before the first.
	Height() uint64
	// Block returns the stored block of a height in 1..Height.
	Block(height uint64) (*fairwattpb.CertifiedBlock, error)
	// Epoch is the one the next block belongs to.
	Epoch() Epoch
	// Rejoin returns the sealed record by which this DA asks that the epoch ends,
	// so that it may vote in the next one; the same bytes while it can stand in
	// the next block. An error says why the application takes none now.
	Rejoin(epoch uint64) (sealed []byte, err error)
}

// A Decision is what a committed block means to agreement.
type Decision struct {
	// RecordIDs are the ids of all records of the block, as RecordID names
	// them. They leave the pool.
	RecordIDs []string
	// EndsEpoch: the block is the last of its epoch, the next one is Next.
	EndsEpoch bool
	Next      Epoch
	// Reseats: candidates, keys or guests of the present epoch are others now.
	Reseats bool
}

// An Epoch is the span of blocks over which members, their order and the
// communication tree stand.
type Epoch struct {
	// Number is the epoch's, from 1.
	Number uint64
	// Order is the WCT sequence of all members, by DA id. The first is the
	// root: the accounting node of view 0; view k's is Order[k mod n].
	Order []string
	// Network is what the trees of the epoch's views are built from: node k
	// is Order[k]. It is not changed.
	Network *wct.Input
	// Failed marks the members, by place in the order, that failed recently.
	// They forward only where no other member can. Nil is none.
	Failed []bool
	// Probes says whom a member on probation sends each block to, beside the tree, by
	// DA id.
	Probes map[string]string
	// Tree is how the trees are built: wct (breadth first, the paper's) or
	// oct (aware of the overheads).
	Tree wct.Algorithm
	// LastHeight is that of the last block before the epoch, 0 for the first
	// epoch.
	LastHeight uint64
	// Keys are those of all data aggregators of the chain in this epoch, members or not:
	// all may send, and members vote. Nil is [Config].Keys. It is not changed.
	Keys map[string]ed25519.PublicKey
	// Guests are no members, and told how far the chain is: candidates, and those that
	// have just left.
	Guests []string
	// Left says that this data aggregator was a member and is one no more.
	Left bool
}

func (e Epoch) validate() error {
	seen := make(map[string]bool, len(e.Order))
	for _, da := range e.Order {
		if seen[da] {
			return fmt.Errorf("epoch %d: %q stands in the order twice", e.Number, da)
		}
		seen[da] = true
	}
	switch {
	case e.Number == 0:
		return errors.New("epoch 0: epochs count from 1")
	case len(e.Order) < 4:
		return fmt.Errorf("epoch %d: %d members, agreement needs 4 to bear a faulty one", e.Number, len(e.Order))
	case e.Network == nil || e.Network.N != len(e.Order):
		return fmt.Errorf("epoch %d: the network is not of its %d members", e.Number, len(e.Order))
	case e.Failed != nil && len(e.Failed) != len(e.Order):
		return fmt.Errorf("epoch %d: %d marks of failure for %d members", e.Number, len(e.Failed), len(e.Order))
	case e.Tree != wct.WCT && e.Tree != wct.OCT:
		return fmt.Errorf("epoch %d: tree %q, want wct or oct", e.Number, e.Tree)
	}
	if err := e.Network.Validate(); err != nil {
		return fmt.Errorf("epoch %d: network: %w", e.Number, err)
	}
	return nil
}

// Link carries frames and questions between data aggregators. An implementation
// authenticates both ends.
type Link interface {
	// Send queues a frame for another DA and returns at once. Frames of one
	// sender to one receiver arrive in order or not at all. The frame is not
	// changed afterwards, by either side.
	Send(to string, frame []byte)
	// Pull asks a DA for a proposed block.
	Pull(ctx context.Context, from string, ref *peerpb.PullRequest) (*peerpb.Relay, error)
	// Fetch asks a DA for the certified blocks lo..hi and hands them to fn in
	// order. It ends without an error where the DA's chain does.
	Fetch(ctx context.Context, from string, lo, hi uint64, fn func(*fairwattpb.CertifiedBlock) error) error
}

// Config describes a node. Fields without a stated default are required.
type Config struct {
	// Self is the DA's id.
	Self string
	// Key is the DA's ed25519 key; it signs votes and blocks sent out.
	Key crypto.Signer
	// ChainID binds every signature to the chain.
	ChainID [32]byte
	// MoreKeys are keys that the DA has been given, or had: it signs with the one that
	// the epoch names.
	MoreKeys []crypto.Signer
	// Keys holds the public keys of all DAs where the epochs name none; else nil.
	Keys map[string]ed25519.PublicKey
	// Dir is the node's own folder for the write-ahead logs. A node whose Dir
	// is lost does not vote before the next epoch.
	Dir  string
	App  Application
	Link Link
	// Dropped is told of each record that Submit took but that will not be
	// in a block, and why. It may be nil.
	Dropped func(sealed []byte, reason error)
	// Leap, if not nil, is asked before blocks are fetched by a node that has none, and
	// where members keep the next block no more. It may get the
	// application what it begins anew with: true ends [Node.Run] with [ErrLeap]. peers are
	// the members, those with the most blocks first; must says that more than f have the next
	// block no more; refused is to be told of each that
	// hands out what does not hold.
	Leap func(ctx context.Context, peers []string, must bool, refused func(da string, err error)) (bool, error)
	// Liars are members that Leap has named, where the node was made again after it.
	Liars []string
	// Equivocated, if not nil, is told of two signatures of a member for one place. It
	// returns false where they prove nothing to it; else it is told no more of that member in
	// the epoch. It must not block. Agreement does not depend on what it does.
	Equivocated func(e *fairwattpb.Equivocation) bool
	// Disk, if not nil, is called before each entry of the log is written: a
	// program that plays a slow disk waits in it.
	Disk func()
	// Held remembers the signatures that hold. An application that checks certificates
	// shares it with agreement, which has checked each vote by then. Nil is one of the
	// node's own.
	Held *Held
	// Logger may be nil: then the default one.
	Logger *slog.Logger

	// BatchRecords and BatchBytes bound a block (500, 1 MiB); a larger block
	// means fewer fsyncs a record and a longer wait for its transfer.
	BatchRecords int
	BatchBytes   int
	// BatchInterval is how long the accounting node waits for a block to
	// fill (2 ms). Every block below BatchRecords waits it out.
	BatchInterval time.Duration
	// TreeVotes is from how many members on the tree carries the votes too (10). With
	// fewer a vote is sooner at all when it is sent to each.
	TreeVotes int
	// RecordBytes bounds one record (64 KiB).
	RecordBytes int
	// PendingRecords and PendingBytes bound what Submit keeps until it is
	// decided (20000, 64 MiB). Full is [ErrBusy].
	PendingRecords int
	PendingBytes   int
	// SenderRecords and SenderBytes bound what of it one sender has (4096 and
	// 4 MiB).
	SenderRecords int
	SenderBytes   int

	// HeartbeatTimeout is the silence after which the leader is given up
	// (500 ms). It must be well above the slowest round trip between DAs.
	HeartbeatTimeout time.Duration
	// ViewChangeTimeout is after what time a view change that does not end is
	// begun again (1 s).
	ViewChangeTimeout time.Duration
	// ComplainTimeout is after what time without a block, while records wait,
	// the leader is given up though it is alive (500 ms).
	ComplainTimeout time.Duration
	// ForwardTimeout is after what time an undecided record goes to all DAs
	// and not to the leader alone (2 s). A leader that then decides records
	// handed over later by as much is given up. It must be well above the
	// time a record queues under load.
	ForwardTimeout time.Duration
	// PullDelay is how long a block may lag behind the first vote for it
	// before it is fetched from a voter (10 ms).
	PullDelay time.Duration
	// StallTimeout is after what time without a block kept messages are
	// processed, and the own votes sent, again (100 ms).
	StallTimeout time.Duration
}

// poolLimits shares the pending records out. The other members together may fill
// half with what they hand over, each an equal part.
func (c *Config) poolLimits() pool.Limits {
	peers := max(1, len(c.App.Epoch().Order)-1)
	return pool.Limits{
		Records: c.PendingRecords, Bytes: c.PendingBytes, SenderRecords: c.SenderRecords, SenderBytes: c.SenderBytes,
		PeerRecords: max(1, c.PendingRecords/2/peers), PeerBytes: max(c.RecordBytes, c.PendingBytes/2/peers),
	}
}

// MaxBlockBytes bounds BatchBytes.
const MaxBlockBytes = 8 << 20

func (c *Config) setDefaults() {
	setInt := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	setDuration := func(p *time.Duration, v time.Duration) {
		if *p == 0 {
			*p = v
		}
	}
	setInt(&c.BatchRecords, 500)
	setInt(&c.BatchBytes, 1<<20)
	setInt(&c.TreeVotes, 10)
	setInt(&c.RecordBytes, 64<<10)
	setInt(&c.PendingRecords, 20000)
	setInt(&c.PendingBytes, 64<<20)
	setInt(&c.SenderRecords, 4096)
	setInt(&c.SenderBytes, max(c.RecordBytes, 4<<20))
	setDuration(&c.BatchInterval, 2*time.Millisecond)
	setDuration(&c.HeartbeatTimeout, 500*time.Millisecond)
	setDuration(&c.ViewChangeTimeout, time.Second)
	setDuration(&c.ComplainTimeout, 500*time.Millisecond)
	setDuration(&c.ForwardTimeout, 2*time.Second)
	setDuration(&c.PullDelay, 10*time.Millisecond)
	setDuration(&c.StallTimeout, 100*time.Millisecond)
	if c.Held == nil {
		c.Held = new(Held)
	}
	if c.Disk == nil {
		c.Disk = func() {}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
}

func (c *Config) validate() error {
	own, known := c.Keys[c.Self]
	fixed := c.App != nil && c.App.Epoch().Keys == nil
	switch {
	case !seal.ValidName(c.Self):
		return fmt.Errorf("consensus: self: %q is not a DA id", c.Self)
	case c.Key == nil || c.App == nil || c.Link == nil || c.Dir == "":
		return errors.New("consensus: key, app, link and dir are required")
	case fixed && !known:
		return fmt.Errorf("consensus: keys: none for %q itself", c.Self)
	case fixed && !own.Equal(c.Key.Public()):
		return fmt.Errorf("consensus: key: its public half is not the one known for %q", c.Self)
	case c.BatchRecords < 1 || c.BatchBytes < 1 || c.BatchBytes > MaxBlockBytes:
		return fmt.Errorf("consensus: batch of %d records and %d bytes, want at least 1 and at most %d bytes", c.BatchRecords, c.BatchBytes, MaxBlockBytes)
	case c.RecordBytes < 1 || c.RecordBytes > c.BatchBytes:
		return fmt.Errorf("consensus: record of %d bytes does not fit a batch of %d", c.RecordBytes, c.BatchBytes)
	case c.BatchRecords > c.BatchBytes:
		return errors.New("consensus: batch has more records than bytes")
	case c.PendingRecords < 1 || c.PendingBytes < c.RecordBytes:
		return errors.New("consensus: no room for a pending record")
	case c.SenderRecords < 1 || c.SenderBytes < c.RecordBytes:
		return errors.New("consensus: no room for a pending record of one sender")
	}
	for name, d := range map[string]time.Duration{
		"batch_interval": c.BatchInterval, "heartbeat_timeout": c.HeartbeatTimeout,
		"view_change_timeout": c.ViewChangeTimeout, "complain_timeout": c.ComplainTimeout,
		"forward_timeout": c.ForwardTimeout, "pull_delay": c.PullDelay, "stall_timeout": c.StallTimeout,
	} {
		if d < time.Millisecond {
			return fmt.Errorf("consensus: %s of %v, want at least 1 ms", name, d)
		}
	}
	return nil
}

// ErrBusy is returned (wrapped) by [Node.Submit] when the pending records
// leave no room: the sender is to wait and try again.
var ErrBusy = pool.ErrBusy

// ErrLeap ends [Node.Run] where the application is to begin anew: see [Config].Leap.
var ErrLeap = errors.New("consensus: the application begins with a snapshot")

// ErrStopped is returned by [Node.Submit] after the end of [Node.Run].
var ErrStopped = errors.New("consensus: stopped")
