package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"fairwatt/firmware-sim/board"
	"fairwatt/proto/brief"
)

// unkindFlags make the machine under a simulated board as unkind as a real one.
type unkindFlags struct {
	stalls, nacks, script string
	edges                 int
	busHz                 float64
	brownOut              time.Duration
	seed                  uint64
}

func (u *unkindFlags) add(f *pflag.FlagSet) {
	f.StringVar(&u.stalls, "stalls", "", "keep the agent's drivers from running, as 300ms/1s: so long, once in each so long")
	f.IntVar(&u.edges, "edge-queue", 0, "give pulses as edges, with a queue of so many (Linux: 16); 0: the board counts them itself")
	f.Float64Var(&u.busHz, "bus-hz", 0, "clock of the I2C bus; 0: transfers take no time")
	f.StringVar(&u.nacks, "nacks", "", "loose contact, as 500/2: one transfer in 500 begins a burst of 2 that no chip acknowledges")
	f.DurationVar(&u.brownOut, "brown-outs", 0, "the chips' supply dips once in each so long; 0: never")
	f.Uint64Var(&u.seed, "seed", 1, "sets the moments of stalls, nacks and brown-outs")
	f.StringVar(&u.script, "faults", "", "file of faults: lines of board time, part, fault, and how long (for ever if left out)")
}

// kernel is what the flags ask for.
func (u *unkindFlags) kernel() (k board.Kernel, err error) {
	k = board.Kernel{EdgesOnly: u.edges > 0, QueueEdges: u.edges, BusHz: u.busHz, BrownOutEvery: u.brownOut, Seed: u.seed}
	if u.stalls != "" {
		lasts, every, ok := strings.Cut(u.stalls, "/")
		var err1, err2 error
		k.StallFor, err1 = time.ParseDuration(lasts)
		k.StallEvery, err2 = time.ParseDuration(every)
		if !ok || err1 != nil || err2 != nil {
			return k, usagef("stalls: %s; use how long and how often, as 300ms/1s", brief.Quote(u.stalls))
		}
	}
	if u.nacks != "" {
		every, burst, ok := strings.Cut(u.nacks, "/")
		var err1, err2 error
		k.NackEvery, err1 = strconv.Atoi(every)
		k.NackBurst, err2 = strconv.Atoi(burst)
		if !ok || err1 != nil || err2 != nil {
			return k, usagef("nacks: %s; use how seldom and how many, as 500/2", brief.Quote(u.nacks))
		}
	}
	if _, err := board.New(board.Config{Kernel: k}); err != nil {
		return k, usageError{err}
	}
	return k, nil
}

// A scripted is a fault that comes or goes at a moment of the board's clock.
type scripted struct {
	at    time.Duration
	fault board.Fault
	ends  bool
}

// readScript reads a file of faults: "10s bme280@0x76 no_answer 5s" breaks a part
// for 5 s; the bus is the part i2c. Lines that begin with # are remarks.
func readScript(path string) ([]scripted, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("faults: %w", err)
	}
	defer f.Close()
	out, err := parseScript(f)
	if err != nil {
		return nil, fmt.Errorf("faults %s: %w", path, err)
	}
	return out, nil
}

func parseScript(r io.Reader) (out []scripted, err error) {
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		words := strings.Fields(lines.Text())
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if len(words) != 3 && len(words) != 4 {
			return nil, fmt.Errorf("line %d: %s; use TIME PART FAULT [HOW-LONG]", n, brief.Quote(lines.Text()))
		}
		at, err := time.ParseDuration(words[0])
		if err != nil || at < 0 {
			return nil, fmt.Errorf("line %d: time %s; use a duration since the start, as 10s", n, brief.Quote(words[0]))
		}
		fault := board.Fault{Part: words[1], Kind: board.FaultKind(words[2])}
		out = append(out, scripted{at: at, fault: fault})
		if len(words) == 4 {
			lasts, err := time.ParseDuration(words[3])
			if err != nil || lasts <= 0 {
				return nil, fmt.Errorf("line %d: %s; use how long it lasts, as 5s", n, brief.Quote(words[3]))
			}
			out = append(out, scripted{at + lasts, fault, true})
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	slices.SortStableFunc(out, func(a, b scripted) int { return cmp.Compare(a.at, b.at) })
	return out, nil
}

// rehearse sees that every fault of a script can be had by a board's parts.
func rehearse(script []scripted, layout board.Config) error {
	b, err := board.New(layout)
	if err != nil {
		return err
	}
	for _, s := range script {
		if err := b.Inject(s.fault); err != nil {
			return err
		}
	}
	return nil
}

// play breaks and mends parts as a script says, and tells it.
func playScript(ctx context.Context, b *board.Board, script []scripted, tell io.Writer) error {
	for len(script) > 0 {
		s := script[0]
		if b.Now() < s.at {
			if err := sleep(ctx, 20*time.Millisecond); err != nil {
				return nil // the end, not a failure
			}
			continue
		}
		do, word := b.Inject, "begins"
		if s.ends {
			do, word = b.Remove, "ends"
		}
		if err := do(s.fault); err != nil {
			return err
		}
		fmt.Fprintf(tell, "firmware-sim: %v fault %s of %s %s\n", b.Now().Truncate(time.Millisecond), s.fault.Kind, s.fault.Part, word)
		script = script[1:]
	}
	return nil
}
