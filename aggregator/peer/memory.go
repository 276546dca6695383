package peer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/peerpb"

	"golang.org/x/sync/errgroup"
)

// MemoryConfig describes a network inside one process.
type MemoryConfig struct {
	// Seed makes delays and losses repeatable for a given sequence of frames.
	Seed uint64
	// MinDelay and MaxDelay bound a frame's delay, and that of a question
	// each way.
	MinDelay, MaxDelay time.Duration
	// Between is what a frame from one DA to another takes on top of that; nil
	// is nothing. It is called from many goroutines.
	Between func(from, to string) time.Duration
	// Loss is the fraction of frames lost, 0 to 1. Questions are not lost.
	Loss float64
	// PromptFetch answers questions for certified blocks without a delay. Tests
	// in bubbles need it where the asker holds a lock meanwhile: the bubble's
	// clock stands still while a goroutine waits for a lock.
	PromptFetch bool
}

// Memory is a network of links inside one process, for tests and for a system
// on one machine. Frames between two DAs keep their order.
type Memory struct {
	mu      sync.Mutex
	cfg     MemoryConfig
	rng     *rand.Rand
	members map[string]*MemoryLink
	blocked map[[2]string]bool
}

// NewMemory returns a network without members.
func NewMemory(cfg MemoryConfig) *Memory {
	return &Memory{
		cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 0x66616972)),
		members: make(map[string]*MemoryLink), blocked: make(map[[2]string]bool),
	}
}

// MemoryLink is one DA's end of the network.
type MemoryLink struct {
	net  *Memory
	id   string
	mu   sync.Mutex
	in   map[string]*lane
	on   Handlers
	ctx  context.Context // of Run, nil outside it
	grow chan *lane      // lanes to be served by Run
}

// lane carries the frames of one sender in order.
type lane struct {
	from   string
	wake   chan struct{} // holds a token while there may be frames
	mu     sync.Mutex
	frames []delayed
}

// delayed is a frame and the moment it arrives.
type delayed struct {
	frame []byte
	due   time.Time
}

func (in *lane) push(d delayed) {
	in.mu.Lock()
	in.frames = append(in.frames, d)
	if len(in.frames) > queueFrames {
		in.frames = in.frames[1:]
	}
	in.mu.Unlock()
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

func (in *lane) pop() (d delayed, ok bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.frames) == 0 {
		return delayed{}, false
	}
	d, in.frames = in.frames[0], in.frames[1:]
	return d, true
}

var errUnreachable = errors.New("not reachable")

// Join returns the end of the DA id. Joining again replaces the earlier end,
// as a restart does: what was under way to it is lost.
func (m *Memory) Join(id string) *MemoryLink {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := &MemoryLink{net: m, id: id, in: make(map[string]*lane), grow: make(chan *lane, 1024)}
	m.members[id] = l
	return l
}

// SetLoss changes the fraction of frames lost.
func (m *Memory) SetLoss(loss float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cfg.Loss = loss
}

// Partition cuts every connection between members of different groups; who is
// in no group is cut off from all. Heal joins them again.
func (m *Memory) Partition(groups ...[]string) {
	group := make(map[string]int)
	for i, g := range groups {
		for _, id := range g {
			group[id] = i + 1
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.blocked)
	for a := range m.members {
		for b := range m.members {
			if group[a] == 0 || group[a] != group[b] {
				m.blocked[[2]string{a, b}] = true
			}
		}
	}
}

// Heal ends a partition.
func (m *Memory) Heal() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.blocked)
}

func (m *Memory) delay() time.Duration {
	if m.cfg.MaxDelay <= m.cfg.MinDelay {
		return m.cfg.MinDelay
	}
	return m.cfg.MinDelay + time.Duration(m.rng.Int64N(int64(m.cfg.MaxDelay-m.cfg.MinDelay)))
}

// route returns the receiver and the delay, or false when the frame is lost.
func (m *Memory) route(from, to string, lossy bool) (*MemoryLink, time.Duration, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	target, ok := m.members[to]
	if !ok || m.blocked[[2]string{from, to}] {
		return nil, 0, false
	}
	if lossy && m.cfg.Loss > 0 && m.rng.Float64() < m.cfg.Loss {
		return nil, 0, false
	}
	d := m.delay()
	if m.cfg.Between != nil {
		d += m.cfg.Between(from, to)
	}
	return target, d, true
}

// Run delivers frames to h until ctx ends.
func (l *MemoryLink) Run(ctx context.Context, h Handlers) error {
	group, ctx := errgroup.WithContext(ctx)
	l.mu.Lock()
	l.on, l.ctx = h, ctx
	for _, lane := range l.in {
		group.Go(func() error { l.serve(ctx, lane); return nil })
	}
	l.mu.Unlock()
	group.Go(func() error {
		for {
			select {
			case lane := <-l.grow:
				group.Go(func() error { l.serve(ctx, lane); return nil })
			case <-ctx.Done():
				return nil
			}
		}
	})
	err := group.Wait()
	l.mu.Lock()
	l.ctx = nil
	l.mu.Unlock()
	return err
}

func (l *MemoryLink) serve(ctx context.Context, in *lane) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	for {
		select {
		case <-ctx.Done():
			return
		case <-in.wake:
		}
		for d, ok := in.pop(); ok; d, ok = in.pop() {
			if wait := time.Until(d.due); wait > 0 {
				timer.Reset(wait)
				select {
				case <-ctx.Done():
					return
				case <-timer.C:
				}
			}
			if l.on.Frame != nil {
				l.on.Frame(in.from, d.frame)
			}
		}
	}
}

// Send queues a frame. It never blocks. A DA that does not run loses it.
func (l *MemoryLink) Send(to string, frame []byte) {
	target, delay, ok := l.net.route(l.id, to, true)
	if !ok {
		return
	}
	target.mu.Lock()
	defer target.mu.Unlock()
	if target.ctx == nil || target.ctx.Err() != nil {
		return
	}
	in, ok := target.in[l.id]
	if !ok {
		in = &lane{from: l.id, wake: make(chan struct{}, 1)}
		target.in[l.id] = in
		target.grow <- in
	}
	in.push(delayed{frame, time.Now().Add(delay)})
}

// ask reaches a running DA and waits the delay of a question and its answer.
func (l *MemoryLink) ask(ctx context.Context, of string, prompt bool) (*Handlers, error) {
	target, delay, ok := l.net.route(l.id, of, false)
	if !ok {
		return nil, fmt.Errorf("%q: %w", of, errUnreachable)
	}
	target.mu.Lock()
	h, alive := target.on, target.ctx != nil && target.ctx.Err() == nil
	target.mu.Unlock()
	if !alive {
		return nil, fmt.Errorf("%q: %w", of, errUnreachable)
	}
	if prompt {
		return &h, ctx.Err()
	}
	timer := time.NewTimer(2 * delay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
		return &h, nil
	}
}

// Pull asks a DA for a proposed block.
func (l *MemoryLink) Pull(ctx context.Context, from string, ref *peerpb.PullRequest) (*peerpb.Relay, error) {
	h, err := l.ask(ctx, from, false)
	if err != nil {
		return nil, err
	}
	if h.Pull == nil {
		return nil, fmt.Errorf("pull from %q: %w", from, errUnreachable)
	}
	return h.Pull(l.id, ref)
}

// Snapshot asks a DA for a piece of a snapshot.
func (l *MemoryLink) Snapshot(ctx context.Context, from string, req *peerpb.SnapshotRequest) (*peerpb.SnapshotPiece, error) {
	h, err := l.ask(ctx, from, l.net.cfg.PromptFetch)
	if err != nil {
		return nil, err
	}
	if h.Snapshot == nil {
		return nil, fmt.Errorf("snapshot from %q: %w", from, errUnreachable)
	}
	return h.Snapshot(req)
}

// Fetch asks a DA for certified blocks.
func (l *MemoryLink) Fetch(ctx context.Context, from string, lo, hi uint64, fn func(*fairwattpb.CertifiedBlock) error) error {
	h, err := l.ask(ctx, from, l.net.cfg.PromptFetch)
	if err != nil {
		return err
	}
	if h.Fetch == nil {
		return fmt.Errorf("fetch from %q: %w", from, errUnreachable)
	}
	return h.Fetch(ctx, lo, hi, fn)
}
