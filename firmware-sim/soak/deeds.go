package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// The deck of deeds: dealt in an order drawn by the seed, then again.
var deck = []string{
	"kill", "kill", "kill", "kill", "stall", "stall", "stall", "cut", "cut", "hold", "hold", "slow", "slow", "slow all", "power cut", "vandal", "lie", "lie",
}

// Bounds of deeds.
const (
	betweenLeast, betweenMost = 500 * time.Millisecond, 3 * time.Second
	rootShare                 = 0.4 // of deeds that meet the accounting node
	hostileFrom               = 0.4 // of the run: from then on one lies
)

// deeds does one thing after the other until ctx ends, and heals all of it.
func (s *soak) deeds(ctx context.Context) error {
	rng := rand.New(rand.NewPCG(s.cfg.Seed, 0x736f616b))
	// What is under way ends by itself at the end of the run.
	group, ctx := errgroup.WithContext(ctx)
	var left []string
	for {
		if !rest(ctx, betweenLeast+rand.N(betweenMost-betweenLeast)) {
			break
		}
		if len(left) == 0 {
			left = slices.Clone(deck)
			rng.Shuffle(len(left), func(i, j int) { left[i], left[j] = left[j], left[i] })
		}
		deed := left[0]
		left = left[1:]
		if err := s.do(ctx, group, rng, deed); err != nil {
			return errors.Join(err, group.Wait())
		}
	}
	return errors.Join(group.Wait(), s.all[s.hostile()].order("lie %s", none))
}

// rest waits; false if the run is over.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// do begins a deed, and has the group end it.
func (s *soak) do(ctx context.Context, group *errgroup.Group, rng *rand.Rand, deed string) error {
	root, pick, lasts := rng.Float64() < rootShare, rng.IntN(s.cfg.DAs), rng.Float64()
	span := func(least, most time.Duration) time.Duration { return least + time.Duration(lasts*float64(most-least)) }
	switch deed {
	case "power cut":
		return s.powerCut(ctx, group, rng)
	case "slow all":
		return s.slowAll(ctx, group, span(20*time.Millisecond, 200*time.Millisecond), 8*time.Second)
	case "vandal":
		s.note("the hostile device floods for 5 s")
		return s.lasting(ctx, group, 5*time.Second, func() error { return s.rage(ctx, true) }, func() error { return s.rage(ctx, false) })
	case "lie":
		if time.Since(s.began) < time.Duration(hostileFrom*float64(s.cfg.For)) {
			return nil
		}
		return s.lie(ctx, lies[rng.IntN(len(lies))])
	}
	p := s.victim(ctx, root, pick)
	if p == nil {
		return nil
	}
	switch deed {
	case "kill":
		away := span(0, 4*time.Second)
		s.note("kill -9 %s%s, back after %.1f s", p.id, s.isRoot(p), away.Seconds())
		return s.lasting(ctx, group, away, p.kill, func() error { defer p.mark(false); return p.start() })
	case "stall":
		d := span(200*time.Millisecond, 5*time.Second)
		s.note("stop %s%s for %.1f s", p.id, s.isRoot(p), d.Seconds())
		return s.lasting(ctx, group, d, func() error { return p.signal(syscall.SIGSTOP) }, func() error { defer p.mark(false); return p.signal(syscall.SIGCONT) })
	case "slow":
		d := span(50*time.Millisecond, 500*time.Millisecond)
		s.note("slow disk of %s%s: %d ms a write for 5 s", p.id, s.isRoot(p), d.Milliseconds())
		return s.lasting(ctx, group, 5*time.Second, func() error { return p.order("disk %v", d) }, func() error { defer p.mark(false); return p.order("disk 0s") })
	case "cut", "hold":
		if s.spaces != nil {
			return s.down(ctx, group, p, span(500*time.Millisecond, 6*time.Second))
		}
		return s.cut(ctx, group, p, deed == "hold", 1+rng.IntN(s.cfg.DAs-1), span(500*time.Millisecond, 6*time.Second))
	}
	return fmt.Errorf("no such deed: %q", deed)
}

func (s *soak) note(format string, args ...any) {
	s.report.Deeds = append(s.report.Deeds, Deed{AtS: time.Since(s.began).Seconds(), What: fmt.Sprintf(format, args...)})
	s.say(format, args...)
}

// lasting does something and undoes it after a while, or at the end of the run.
func (s *soak) lasting(ctx context.Context, group *errgroup.Group, d time.Duration, do, undo func() error) error {
	if err := do(); err != nil {
		return err
	}
	group.Go(func() error {
		rest(ctx, d)
		return undo()
	})
	return nil
}

// victim waits until one more may be faulty, and takes one that is not: the
// accounting node if root says so. nil if the run is over.
func (s *soak) victim(ctx context.Context, root bool, pick int) *process {
	var found *process
	s.until(ctx, s.cfg.For, func(now time.Time) bool {
		if s.count(now) >= s.cfg.faulty() {
			return false
		}
		var newest word
		for _, p := range s.all {
			if w, up := p.status(now); up && w.Height >= newest.Height {
				newest = w
			}
		}
		for k := range s.all {
			p := s.all[(pick+k)%len(s.all)]
			if p.faulty(now, newest.Height) || root && p.id != newest.Leader && k+1 < len(s.all) && s.find(newest.Leader) {
				continue
			}
			found = p
			return true
		}
		return false
	})
	if found != nil {
		found.mark(true)
	}
	return found
}

// find says whether one of this name is there to be hurt.
func (s *soak) find(id string) bool {
	return slices.ContainsFunc(s.all, func(p *process) bool { p.mu.Lock(); defer p.mu.Unlock(); return p.id == id && !p.hurt && !p.hostile })
}

func (s *soak) isRoot(p *process) string {
	if w, _ := p.status(time.Now()); w.Leader == p.id {
		return " (accounting node)"
	}
	return ""
}

// cut takes a data aggregator's links to some of the others away.
func (s *soak) cut(ctx context.Context, group *errgroup.Group, p *process, hold bool, links int, d time.Duration) error {
	var names []string
	var cut []*forwarder
	for _, other := range s.all {
		if other != p && len(names) < links {
			names = append(names, other.id)
			cut = append(cut, p.out[other.id], other.out[p.id])
		}
	}
	way := "cut"
	if hold {
		way = "hold"
	}
	s.note("%s the links of %s%s with %s for %.1f s", way, p.id, s.isRoot(p), strings.Join(names, ", "), d.Seconds())
	return s.lasting(ctx, group, d, func() error {
		for _, f := range cut {
			if hold {
				f.stall()
			} else {
				f.sever()
			}
		}
		return nil
	}, func() error {
		defer p.mark(false)
		for _, f := range cut {
			f.heal()
		}
		return nil
	})
}

// powerCut ends all at once; they come back one after the other.
func (s *soak) powerCut(ctx context.Context, group *errgroup.Group, rng *rand.Rand) error {
	// What is under way ends first: a deed's end would meet a process of another life.
	if !s.until(ctx, s.cfg.For, func(time.Time) bool {
		return !slices.ContainsFunc(s.all, func(p *process) bool { p.mu.Lock(); defer p.mu.Unlock(); return p.hurt })
	}) {
		return nil
	}
	s.note("power cut: kill -9 of all")
	var dying errgroup.Group
	for _, p := range s.all {
		p.mark(true)
		dying.Go(p.kill)
	}
	if err := dying.Wait(); err != nil {
		return err
	}
	for _, p := range s.all {
		back := time.Duration(rng.Float64() * float64(2*time.Second))
		group.Go(func() error {
			defer p.mark(false)
			rest(ctx, back)
			return p.start()
		})
	}
	return nil
}

// slowAll slows every disk. That makes no one faulty.
func (s *soak) slowAll(ctx context.Context, group *errgroup.Group, d, lasts time.Duration) error {
	s.note("slow disks of all: %d ms a write for %v", d.Milliseconds(), lasts)
	all := func(d time.Duration) func() error {
		return func() (err error) {
			for _, p := range s.all {
				err = errors.Join(err, p.order("disk %v", d))
			}
			return err
		}
	}
	return s.lasting(ctx, group, lasts, all(d), all(0))
}

// lie lets the hostile data aggregator lie, from now on in this way.
func (s *soak) lie(ctx context.Context, way string) error {
	p := s.all[s.hostile()]
	first := !p.isHostile()
	if first && !s.until(ctx, s.cfg.For, func(now time.Time) bool { return s.count(now) < s.cfg.faulty() }) {
		return nil
	}
	p.mu.Lock()
	p.hostile = true
	p.mu.Unlock()
	s.note("%s lies: %s", p.id, way)
	return p.order("lie %s", way)
}

func (p *process) isHostile() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hostile
}

func (s *soak) rage(ctx context.Context, rages bool) error {
	select {
	case s.vandal.rages <- rages:
	case <-ctx.Done():
	}
	return nil
}
