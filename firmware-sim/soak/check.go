package soak

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"fairwatt/aggregator"
	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/mc"
	"fairwatt/aggregator/store"
	"fairwatt/proto/seal"
)

// check looks at what the run left behind, and completes the report.
func (s *soak) check(ctx context.Context) error {
	s.watch.sum(&s.report, s.cfg.For)
	if longest := s.report.LongestStallS; longest > s.cfg.Standstill.Seconds() {
		s.report.breaks("the chain stood still for %.1f s, until %.1f s after the start, with at most %d faulty", longest, s.report.StallEndsS, s.cfg.faulty())
	}
	for _, p := range s.all {
		s.report.ViewChanges = max(s.report.ViewChanges, p.heard.Views)
		for to, f := range p.out {
			if !f.used {
				s.report.breaks("the link of %s to %s went round its forwarder: a cut of it cut nothing", p.id, to)
			}
		}
	}
	chains := make([]*store.Store, 0, len(s.all))
	defer func() {
		for _, c := range chains {
			_ = c.Close() // only read from
		}
	}()
	for _, p := range s.all {
		c, err := store.OpenReadOnly(filepath.Join(p.spec.Dir, aggregator.StoreFile))
		if err != nil {
			return fmt.Errorf("%s: %w", p.id, err)
		}
		chains = append(chains, c)
	}
	stands, err := s.compare(chains)
	if err != nil {
		return err
	}
	s.account(stands)
	for k, p := range s.all {
		if err := verify(s.genesis, chains[k]); err != nil {
			s.report.breaks("the chain of %s is not valid: %v", p.id, err)
		}
	}
	return s.verifyByProgram(ctx)
}

// compare looks whether all chains are the same, and returns the heights at which each
// record stands. Who is asked to end is not waited for by the others: a block that they
// decide meanwhile, of a report of their own, it fetches when it runs again. What all had
// when the load was over it has to have.
func (s *soak) compare(chains []*store.Store) (map[[32]byte][]uint64, error) {
	stands := make(map[[32]byte][]uint64)
	longest := 0
	for k, c := range chains {
		if c.Height() < s.agreed {
			s.report.breaks("%s ends at block %d, and said that it had %d", s.all[k].id, c.Height(), s.agreed)
		}
		if c.Height() > chains[longest].Height() {
			longest = k
		}
	}
	first := chains[longest]
	s.report.Height = first.Height()
	for h := uint64(1); h <= first.Height(); h++ {
		cb, err := first.Block(h)
		if err != nil {
			return nil, err
		}
		for k, c := range chains {
			other, err := c.Block(h)
			if errors.Is(err, store.ErrNotFound) {
				continue // told above, or decided while it ended
			}
			if err != nil {
				return nil, err
			}
			if !bytes.Equal(cb.GetBlock(), other.GetBlock()) {
				s.report.breaks("FORK: %s and %s have different blocks at height %d", s.all[longest].id, s.all[k].id, h)
			}
		}
		_, _, records, err := ledger.DecodeBlock(cb.GetBlock())
		if err != nil {
			return nil, fmt.Errorf("block %d: %w", h, err)
		}
		for _, r := range records {
			id := seal.ID(r)
			stands[id] = append(stands[id], h)
		}
	}
	return stands, nil
}

// account looks for every record that was sent.
func (s *soak) account(stands map[[32]byte][]uint64) {
	for id, heights := range stands {
		if len(heights) > 1 {
			s.report.Doubled++
			s.report.breaks("record %x stands in blocks %d", id[:8], heights)
		}
	}
	for _, d := range s.devices[:s.cfg.Devices] {
		s.report.Sent += len(d.records)
		for id, r := range d.records {
			heights := stands[id]
			switch {
			case len(heights) == 0:
				s.report.Lost++
				s.report.breaks("record %d of %s is in no block (told final: height %d)", r.counter, d.id, r.height)
			case r.height != 0 && heights[0] != r.height:
				s.report.Lost++
				s.report.breaks("record %d of %s was told final at height %d and stands at %d", r.counter, d.id, r.height, heights[0])
			}
		}
		s.report.Broken = append(s.report.Broken, d.odd...)
		for code, n := range d.refused {
			if s.report.RefusedAtDoor == nil {
				s.report.RefusedAtDoor = make(map[string]uint64)
			}
			s.report.RefusedAtDoor[code] += n
		}
	}
	s.report.VandalSent = s.vandal.sent
}

// verify executes a chain again from its genesis, and loads the state that a restart
// would go on from.
func verify(g *ledger.Genesis, chain *store.Store) error {
	state, err := ledger.NewState(g)
	if err != nil {
		return err
	}
	for h := uint64(1); h <= chain.Height(); h++ {
		cb, err := chain.Block(h)
		if err != nil {
			return err
		}
		staged, err := state.VerifyCertified(cb)
		if err != nil {
			return fmt.Errorf("height %d: %w", h, err)
		}
		if err := state.Commit(staged); err != nil {
			return fmt.Errorf("height %d: %w", h, err)
		}
	}
	kept, err := chain.LoadState(g)
	if err != nil {
		return err
	}
	if kept.Root() != state.Root() {
		return errors.New("its state is not the one that its blocks lead to")
	}
	return nil
}

// verifyByProgram runs `aggregator chain verify`.
func (s *soak) verifyByProgram(ctx context.Context) error {
	if s.opts.Aggregator == "" {
		return nil
	}
	for _, p := range s.all {
		out, err := exec.CommandContext(ctx, s.opts.Aggregator, "chain", "verify", "--data", p.spec.Dir, "--genesis", filepath.Join(s.cfg.Dir, mc.GenesisFile)).CombinedOutput()
		var failed *exec.ExitError
		if errors.As(err, &failed) {
			s.report.breaks("chain verify of %s: %s", p.id, strings.TrimSpace(string(out)))
		} else if err != nil {
			return fmt.Errorf("chain verify of %s: %w", p.id, err)
		}
		s.report.Verified++
	}
	return nil
}
