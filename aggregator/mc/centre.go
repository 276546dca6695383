package mc

import (
	"cmp"
	"context"
	"crypto"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"fairwatt/aggregator/ledger"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// A Chain is one data aggregator as the centre uses it: a link over gRPC, or
// the aggregator itself when both run in one process.
type Chain interface {
	// Follow hands over the certified blocks from a height on, in order, then
	// each new one, until the context ends or the aggregator fails.
	Follow(ctx context.Context, from uint64, block func(*fairwattpb.CertifiedBlock) error) error
	// Submit offers a sealed record. Nil means that it waits for a block; what
	// became of it is on the chain. An error with a method Refused() (code, reason
	// string) that names a code says which rule of the chain keeps it out of every block.
	Submit(ctx context.Context, sealed []byte) error
}

// CentreConfig is what a Centre needs.
type CentreConfig struct {
	ID      string
	Key     crypto.Signer // the key the genesis names for ID
	Genesis *ledger.Genesis
	Chains  []Chain // the data aggregators; one is followed and the others are asked, f+1 are submitted to
	// Dial reaches a data aggregator. With it the centre keeps to the members that the
	// chain names, and Chains is not needed. What it returns is closed where it can be.
	Dial func(da ledger.DA) (Chain, error)
	// Joins says that the genesis need not name the centre: it came to a running chain.
	Joins bool
	// CounterFile keeps the record counter; empty keeps it in memory, for a
	// chain that ends with the process.
	CounterFile string
	// Now is the wall clock; nil means time.Now.
	Now func() time.Time
	// Simulated marks the centre's records: set it on a chain of simulations.
	Simulated bool
	// Alive, if not nil, is called ten times a second by the loop that answers: it
	// stops when the centre hangs.
	Alive  func()
	Logger *slog.Logger
}

// Times of the centre. A record not seen on the chain is submitted again, to
// the next aggregators.
const (
	resendEvery = 2 * time.Second
	submitLimit = 3 * time.Second
	quietAfter  = 300 * time.Millisecond // without a block: the chain's end is reached
	tick        = 100 * time.Millisecond
	lookEvery   = 5 * time.Second // at open requests, without a block: they run out
)

// maxPending bounds the records on their way to the chain.
const maxPending = 4096

// ErrRefused is what a record's sender gets when the chain did not apply it, or f+1
// data aggregators did not let it in; the code and reason are in the error's text.
var ErrRefused = errors.New("refused by the chain")

// A Centre follows the chain and answers what it asks.
type Centre struct {
	cfg     CentreConfig
	chain   [32]byte
	counter *counter

	mu           sync.Mutex
	state        *ledger.State
	seats        []seat                // with Dial
	seated       []Chain               // to follow and to submit to; replaced, never changed
	open         map[requestKey]*asked // requests on the chain without a response
	reserved     map[string]reservation
	lapsed       map[string]bool       // buyers that did not pay what was reserved for them last
	placing      []placing             // not sealed yet
	pending      map[[32]byte]*pending // our records on their way, by id
	lastNew      time.Time             // when the newest block came
	lastFollowed time.Time             // when the aggregator that is followed brought one, new or not
	changed      bool                  // the chain has, since the requests were looked at
	looked       time.Time             // when they were
	stats        Stats
}

type requestKey struct{ buyer, id string }

type asked struct {
	inFlight bool
	waitNote string // why it waits, so that the log says it once
	seller   string // in flight, with answers by the ledger: who would be quoted first
}

// placing is a record that waits until the end of the chain is reached: only
// then is it known which counters are free.
type placing struct {
	body *fairwattpb.Record
	as   *signer                   // nil: the centre itself
	only func(*ledger.State) error // nil: whatever the chain says
	done chan<- error
}

// A signer is someone else whose record the centre brings to the chain.
type signer struct {
	id  string
	key crypto.Signer
}

type pending struct {
	id      [32]byte
	sealed  []byte
	sentAt  time.Time
	tries   int
	done    chan<- error // nil: no one waits
	request *requestKey
	refused map[Chain]string // who did not let it in, and by which code
	over    *ledger.State    // the state when it was made; a leap replaces it
}

// Stats count what a Centre did since its start.
type Stats struct {
	Height    uint64
	Responses uint64 // on the chain
	Waiting   int    // requests without a seller yet
	Refused   uint64 // own records the chain did not apply
	Looks     uint64 // at all open requests
}

// NewCentre returns a Centre at the genesis. Run makes it work.
func NewCentre(cfg CentreConfig) (*Centre, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if len(cfg.Chains) == 0 && cfg.Dial == nil {
		return nil, errors.New("a management centre needs at least one data aggregator")
	}
	known := cfg.Joins
	for _, c := range cfg.Genesis.Centres {
		known = known || c.ID == cfg.ID
	}
	if !known {
		return nil, fmt.Errorf("the genesis names no management centre %q", cfg.ID)
	}
	state, err := ledger.NewState(cfg.Genesis)
	if err != nil {
		return nil, fmt.Errorf("start state: %w", err)
	}
	n, err := openCounter(cfg.CounterFile)
	if err != nil {
		return nil, err
	}
	c := &Centre{
		cfg: cfg, chain: cfg.Genesis.ChainID(), counter: n, state: state, seated: cfg.Chains,
		open: make(map[requestKey]*asked), reserved: make(map[string]reservation), lapsed: make(map[string]bool), pending: make(map[[32]byte]*pending),
	}
	if c.reseat(); len(c.seated) == 0 {
		return nil, errors.New("no data aggregator of the genesis can be reached: see its address there")
	}
	return c, nil
}

// Stats returns what was done so far.
func (c *Centre) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Height = c.state.Height()
	for _, a := range c.open {
		if !a.inFlight {
			s.Waiting++
		}
	}
	return s
}

// Run follows the chain and answers until the context ends. It returns an error
// only when the chain breaks its own rules, which no other aggregator can mend.
func (c *Centre) Run(ctx context.Context) error { return c.run(ctx, true) }

// Record is Run without answering requests: for a centre that only places a
// registration or deposit while another one answers.
func (c *Centre) Record(ctx context.Context) error { return c.run(ctx, false) }

func (c *Centre) run(ctx context.Context, answer bool) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.follow(ctx) })
	g.Go(func() error { return c.work(ctx, answer) })
	if err := g.Wait(); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// seen books one record of the chain.
func (c *Centre) seen(rec *ledger.Checked, outcome *fairwattpb.Outcome) {
	r := rec.Record
	switch body := r.GetBody().(type) {
	case *fairwattpb.Record_Request:
		if outcome.GetApplied() {
			c.open[requestKey{r.GetSender(), body.Request.GetRequestId()}] = &asked{}
		}
	case *fairwattpb.Record_Response:
		if outcome.GetApplied() {
			buyer := cmp.Or(body.Response.GetBuyer(), body.Response.GetToken().GetBuyer())
			delete(c.open, requestKey{buyer, body.Response.GetRequestId()})
			c.reserve(body.Response, c.state.TimeMs()) // another centre may have answered
		} else {
			c.free(body.Response.GetToken().GetTokenId())
		}
	case *fairwattpb.Record_Pay:
		c.pays(r.GetSender(), body.Pay)
	}
	p := c.pending[rec.ID]
	if r.GetSender() == c.cfg.ID {
		c.counter.sawOnChain(r.GetCounter())
	}
	if p == nil {
		return
	}
	delete(c.pending, rec.ID)
	var err error
	if !outcome.GetApplied() {
		err = fmt.Errorf("%w: %s (%s)", ErrRefused, outcome.GetReason(), outcome.GetCode())
		c.stats.Refused++
		c.cfg.Logger.Warn("own record refused", "record", hex.EncodeToString(rec.ID[:8]), "code", outcome.GetCode(),
			"reason", outcome.GetReason())
	} else if p.request != nil {
		c.stats.Responses++
	}
	if p.request != nil {
		if a := c.open[*p.request]; a != nil {
			a.inFlight = false // refused: the world moved on, look again
		}
	}
	if p.done != nil {
		p.done <- err
	}
}

// work answers requests once the newest block is reached, and sends again what
// is not on the chain yet.
func (c *Centre) work(ctx context.Context, answer bool) error {
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
		due, err := c.due(answer)
		if err != nil {
			return err
		}
		if len(due) > 0 {
			c.submit(ctx, due)
		}
		if c.cfg.Alive != nil {
			c.cfg.Alive()
		}
	}
}

// due makes the answers that are possible now and returns everything to send.
func (c *Centre) due(answer bool) ([]*pending, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.cfg.Now()
	// While old blocks still stream in, open requests may have their answers in
	// the next block.
	fresh := now.UnixMilli()-c.state.TimeMs() < 2*c.cfg.Genesis.Params.SkewMs
	if fresh || now.Sub(c.lastNew) > quietAfter {
		// What can be answered follows from the chain, and changes with it alone.
		if away := now.Sub(c.looked); answer && (c.changed || away >= lookEvery || away < 0) {
			c.changed, c.looked = false, now
			c.stats.Looks++
			look := c.answerAll
			if c.cfg.Genesis.Params.Answers == ledger.AnswersByLedger {
				look = c.wishAll
			}
			if err := look(now); err != nil {
				return nil, err
			}
		}
		for _, p := range c.placing {
			if err := c.begin(p); err != nil {
				p.done <- err
			}
		}
		c.placing = nil
	}
	var out []*pending
	for _, p := range c.pending {
		if now.Sub(p.sentAt) >= resendEvery {
			p.sentAt = now
			p.tries++
			out = append(out, p)
		}
	}
	return out, nil
}

// submit sends records to f+1 aggregators at once, so that one honest one has
// them; each try begins at another.
func (c *Centre) submit(ctx context.Context, due []*pending) {
	ctx, cancel := context.WithTimeout(ctx, submitLimit)
	defer cancel()
	var g errgroup.Group
	g.SetLimit(32)
	c.mu.Lock()
	chains, faulty := c.seated, c.state.Members().Faulty()
	c.mu.Unlock()
	for _, p := range due {
		for i := range faulty + 1 {
			to := (p.tries - 1 + i) % len(chains)
			g.Go(func() error {
				if err := chains[to].Submit(ctx, p.sealed); err != nil && ctx.Err() == nil {
					c.cfg.Logger.Warn("submit", "to", to, "err", err)
					c.refuses(p, chains[to], err, min(faulty+1, len(chains)))
				}
				return nil
			})
		}
	}
	_ = g.Wait() // its functions return nil; what failed is sent again
}

// refuses notes that a data aggregator did not let a record in. Who waits for it is told
// when as many say so by one code that one of them is honest: it can stand in no block. One
// whose counter was used may stand in a block that is not here yet, so the state has
// to say so too. A record that no one waits for is sent again, as before.
func (c *Centre) refuses(p *pending, by Chain, err error, enough int) {
	var r interface{ Refused() (code, reason string) }
	if p.done == nil || !errors.As(err, &r) {
		return
	}
	code, reason := r.Refused()
	if code == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending[p.id] != p {
		return
	}
	if code == wire.CodeReplayed {
		var own *ledger.Refusal
		_, err := c.state.CheckRecord(p.sealed)
		if c.state != p.over || !errors.As(err, &own) || own.Code != code {
			return
		}
	}
	if p.refused == nil {
		p.refused = make(map[Chain]string)
	}
	p.refused[by] = code
	same := 0
	for _, said := range p.refused {
		if said == code {
			same++
		}
	}
	if same < enough {
		return
	}
	delete(c.pending, p.id)
	c.stats.Refused++
	p.done <- fmt.Errorf("%w: %s (%s)", ErrRefused, reason, code)
}

// enqueue seals a body under the next counter and puts it on its way. The
// caller holds mu.
func (c *Centre) enqueue(body *fairwattpb.Record, request *requestKey, done chan<- error) error {
	if len(c.pending) >= maxPending {
		return fmt.Errorf("%d records already wait for the chain", maxPending)
	}
	n, err := c.counter.next()
	if err != nil {
		return err
	}
	return c.dispatch(body, signer{c.cfg.ID, c.cfg.Key}, n, request, done)
}

// begin puts a record on its way. Someone else's is counted from the newest of theirs
// on the chain. The caller holds mu.
func (c *Centre) begin(p placing) error {
	if p.only != nil {
		if err := p.only(c.state); err != nil {
			return err
		}
	}
	if p.as == nil {
		return c.enqueue(p.body, nil, p.done)
	}
	counter := c.state.LastCounter(p.as.id) + 1
	if len(p.body.GetRevoke().GetRecoveryKey()) > 0 {
		counter = 1 // of counters of its own, and there is only ever one such record
	}
	return c.dispatch(p.body, *p.as, counter, nil, p.done)
}

// errOnItsWay tells of a record that someone has sent twice within a millisecond.
var errOnItsWay = errors.New("this very record is on its way; look what became of it before it is sent again")

func (c *Centre) dispatch(body *fairwattpb.Record, by signer, counter uint64, request *requestKey, done chan<- error) error {
	body.ChainId, body.Sender, body.Counter = c.chain[:], by.id, counter
	body.TimeMs, body.Simulated = c.cfg.Now().UnixMilli(), c.cfg.Simulated
	payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode record: %w", err)
	}
	sealed, err := seal.Seal(by.key, by.id, seal.DomainRecord, c.chain, payload)
	if err != nil {
		return fmt.Errorf("seal record: %w", err)
	}
	id := seal.ID(sealed)
	if c.pending[id] != nil {
		return errOnItsWay
	}
	c.pending[id] = &pending{id: id, sealed: sealed, done: done, request: request, over: c.state}
	return nil
}

// Verdict brings what an arbiter finds to the chain and returns when it stands there.
// One arbiter's records go one at a time.
func (c *Centre) Verdict(ctx context.Context, arbiter string, key crypto.Signer, v *fairwattpb.Verdict) error {
	err := c.placeAs(ctx, &fairwattpb.Record{Body: &fairwattpb.Record_Verdict{Verdict: v}}, &signer{arbiter, key})
	if err != nil {
		return fmt.Errorf("verdict of %s on %s: %w", arbiter, v.GetTradeId(), err)
	}
	return nil
}

// Grant brings an arbiter's word on money of the fund to the chain.
func (c *Centre) Grant(ctx context.Context, arbiter string, key crypto.Signer, g *fairwattpb.Grant) error {
	err := c.placeAs(ctx, &fairwattpb.Record{Body: &fairwattpb.Record_Grant{Grant: g}}, &signer{arbiter, key})
	if err != nil {
		return fmt.Errorf("grant %s by %s: %w", g.GetReference(), arbiter, err)
	}
	return nil
}

// Register puts a participant on the chain and returns when it stands there.
func (c *Centre) Register(ctx context.Context, r *fairwattpb.Registration) error {
	err := c.place(ctx, &fairwattpb.Record{Body: &fairwattpb.Record_Registration{Registration: r}})
	if err != nil {
		return fmt.Errorf("register %s: %w", r.GetId(), err)
	}
	return nil
}

// Deposit credits a wallet and returns when the chain has done so. The
// reference makes a second deposit of the same payment impossible.
func (c *Centre) Deposit(ctx context.Context, d *fairwattpb.Deposit) error {
	err := c.place(ctx, &fairwattpb.Record{Body: &fairwattpb.Record_Deposit{Deposit: d}})
	if err != nil {
		return fmt.Errorf("deposit %s to %s: %w", d.GetReference(), d.GetTo(), err)
	}
	return nil
}

// Reverse asks for a deposit to be taken back; an auditor has to approve it.
func (c *Centre) Reverse(ctx context.Context, r *fairwattpb.Reversal) error {
	if err := c.place(ctx, &fairwattpb.Record{Body: &fairwattpb.Record_Reversal{Reversal: r}}); err != nil {
		return fmt.Errorf("reverse deposit %s: %w", r.GetDeposit(), err)
	}
	return nil
}

// Warn brings an official warning to the chain.
func (c *Centre) Warn(ctx context.Context, w *fairwattpb.WarningNotice) error {
	if err := c.place(ctx, &fairwattpb.Record{Body: &fairwattpb.Record_WarningNotice{WarningNotice: w}}); err != nil {
		return fmt.Errorf("warning of %s for %s: %w", w.GetKind(), w.GetArea(), err)
	}
	return nil
}

// Share says how the energy of slots is shared from now on.
func (c *Centre) Share(ctx context.Context, t *fairwattpb.SharingTerms) error {
	if err := c.place(ctx, &fairwattpb.Record{Body: &fairwattpb.Record_SharingTerms{SharingTerms: t}}); err != nil {
		return fmt.Errorf("say how energy is shared: %w", err)
	}
	return nil
}

// PayOut says that the bank has paid an approved withdrawal.
func (c *Centre) PayOut(ctx context.Context, p *fairwattpb.Payout) error {
	if err := c.place(ctx, &fairwattpb.Record{Body: &fairwattpb.Record_Payout{Payout: p}}); err != nil {
		return fmt.Errorf("pay withdrawal %s of %s out: %w", p.GetWithdrawalId(), p.GetMember(), err)
	}
	return nil
}

// Approve brings an auditor's approval to the chain.
func (c *Centre) Approve(ctx context.Context, auditor string, key crypto.Signer, a *fairwattpb.Approval) error {
	if err := c.placeAs(ctx, &fairwattpb.Record{Body: &fairwattpb.Record_Approval{Approval: a}}, &signer{auditor, key}); err != nil {
		return fmt.Errorf("approval by %s: %w", auditor, err)
	}
	return nil
}

func (c *Centre) place(ctx context.Context, body *fairwattpb.Record) error {
	return c.placeAs(ctx, body, nil)
}

func (c *Centre) placeAs(ctx context.Context, body *fairwattpb.Record, as *signer) error {
	return c.placeIf(ctx, body, as, nil)
}

// placeIf places a record unless the chain's end, when it is reached, says no.
func (c *Centre) placeIf(ctx context.Context, body *fairwattpb.Record, as *signer, only func(*ledger.State) error) error {
	done := make(chan error, 1)
	c.mu.Lock()
	full := len(c.placing) >= maxPending
	if !full {
		c.placing = append(c.placing, placing{body, as, only, done})
	}
	c.mu.Unlock()
	if full {
		return fmt.Errorf("%d records already wait for the chain", maxPending)
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("not on the chain yet: %w", ctx.Err())
	}
}
