package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	bits "encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "mutate:", err)
		}
		os.Exit(1)
	}
}

// options are the command line's.
type options struct {
	dir, reasons, out string
	packages          []string
	workers, sample   int
	seed              uint64
	shard, shards     int
	match             *regexp.Regexp
	total             time.Duration
	each              time.Duration
	factor            int
	floor             float64
	strict, list      bool
}

func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	flags := flag.NewFlagSet("mutate", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.dir, "dir", ".", "`folder` of the module")
	names := flags.String("package", "", "`packages` from the module's folder, by comma (required)")
	flags.StringVar(&o.reasons, "reasons", "", "`file` of reasons")
	flags.StringVar(&o.out, "out", "", "`file` for the report (default standard output)")
	flags.IntVar(&o.workers, "workers", 2, "test processes at a time")
	flags.IntVar(&o.sample, "sample", 0, "try this many mutants of each package, drawn by their texts and --seed (default all)")
	flags.Uint64Var(&o.seed, "seed", 1, "of the sample")
	shard := flags.String("shard", "1/1", "`i/n`: try the i-th of n parts")
	match := flags.String("match", "", "try mutants whose \"file:line function: before -> after\" matches this `pattern`")
	flags.DurationVar(&o.total, "for", 4*time.Hour, "stop after this time")
	flags.DurationVar(&o.each, "slack", 5*time.Second, "a run hangs after --factor times its normal time of a processor and this")
	flags.IntVar(&o.factor, "factor", 5, "see --slack")
	flags.Float64Var(&o.floor, "floor", 85, "fail if less than this percentage is killed")
	flags.BoolVar(&o.strict, "strict", false, "fail if a survivor has no reason or a reason no survivor")
	flags.BoolVar(&o.list, "list", false, "list the mutants and stop")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 || *names == "" {
		flags.Usage()
		return nil, errors.New("name packages with --package")
	}
	o.packages = strings.Split(*names, ",")
	if n, err := fmt.Sscanf(*shard, "%d/%d", &o.shard, &o.shards); n != 2 || err != nil || o.shard < 1 || o.shard > o.shards {
		return nil, fmt.Errorf("--shard %s: want i/n with 1 <= i <= n", *shard)
	}
	if o.workers < 1 || o.sample < 0 || o.factor < 1 {
		return nil, errors.New("--workers and --factor must be 1 or more, --sample 0 or more")
	}
	var err error
	if o.match, err = regexp.Compile(*match); err != nil {
		return nil, fmt.Errorf("--match: %w", err)
	}
	return o, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	reasons := make(map[string]*reason)
	if o.reasons != "" {
		file, err := os.Open(o.reasons)
		if err != nil {
			return fmt.Errorf("open reasons: %w", err)
		}
		defer file.Close()
		if reasons, err = readReasons(file); err != nil {
			return fmt.Errorf("%s: %w", o.reasons, err)
		}
	}
	deadline := time.Now().Add(o.total)
	var outcomes []*outcome
	for _, pkg := range o.packages {
		result, err := o.measure(ctx, pkg, deadline, stdout, stderr)
		if err != nil {
			return err
		}
		outcomes = append(outcomes, result)
	}
	if o.list {
		return nil
	}
	return o.conclude(outcomes, reasons, stdout, stderr)
}

// conclude writes the report and says whether the tests notice enough.
func (o *options) conclude(outcomes []*outcome, reasons map[string]*reason, stdout, stderr io.Writer) error {
	if o.out == "" {
		if err := report(stdout, outcomes, reasons); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
	} else {
		var page strings.Builder
		if err := report(&page, outcomes, reasons); err != nil {
			return err
		}
		if err := os.WriteFile(o.out, []byte(page.String()), 0o644); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
	}
	killed, tried, bare := total(outcomes, reasons)
	unneeded := stale(outcomes, reasons)
	fmt.Fprintf(stderr, "killed %d of %d mutants tried, %.1f %%; survivors without a reason: %d; reasons without a survivor: %d\n",
		killed, tried, share(killed, tried), bare, len(unneeded))
	switch {
	case share(killed, tried) < o.floor:
		return fmt.Errorf("%.1f %% killed, want %.1f %%", share(killed, tried), o.floor)
	case o.strict && bare > 0:
		return fmt.Errorf("%d survivors without a reason", bare)
	case o.strict && len(unneeded) > 0:
		return fmt.Errorf("%d reasons without a survivor", len(unneeded))
	}
	return nil
}

// measure tries the mutants of one package.
func (o *options) measure(ctx context.Context, pkg string, deadline time.Time, stdout, stderr io.Writer) (*outcome, error) {
	s, err := switched(ctx, o.dir, "./"+strings.TrimPrefix(pkg, "./"))
	if err != nil {
		return nil, err
	}
	result := &outcome{short: s.short, untried: s.untried, fates: make(map[int]fate), all: make(map[string]bool)}
	for _, m := range s.mutants {
		result.all[m.key()] = true
	}
	result.mutants = o.choose(s.mutants)
	result.skipped = len(s.mutants) - len(result.mutants)
	if o.list {
		for _, m := range result.mutants {
			fmt.Fprintln(stdout, line(m))
		}
		return result, nil
	}
	scratch, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return nil, fmt.Errorf("make scratch folder: %w", err)
	}
	defer os.RemoveAll(scratch)
	fmt.Fprintf(stderr, "%s: %d mutants, %d of them tried; compiling\n", s.short, len(s.mutants), len(result.mutants))
	b, err := compile(ctx, s, scratch)
	if err != nil {
		return nil, err
	}
	b.factor, b.slack = o.factor, o.each
	tests, failing, err := b.baseline(ctx, stderr)
	if err != nil {
		return nil, err
	}
	result.failing = failing
	if err := o.tryAll(ctx, b, tests, result, deadline, stderr); err != nil {
		return nil, err
	}
	tried := slices.DeleteFunc(slices.Clone(result.mutants), func(m *mutant) bool { return result.fates[m.ID] == unknown })
	result.skipped += len(result.mutants) - len(tried)
	result.mutants = tried
	return result, nil
}

// line is a mutant as --list prints and --match reads it.
func line(m *mutant) string {
	return fmt.Sprintf("%s:%d %s: %s -> %s", m.File, m.Line, m.Function, m.Before, m.After)
}

// choose takes the mutants that the command line asks for, in their order.
func (o *options) choose(all []*mutant) []*mutant {
	var list []*mutant
	for _, m := range all {
		if m.rank(o.seed)%uint64(o.shards) == uint64(o.shard-1) && o.match.MatchString(line(m)) {
			list = append(list, m)
		}
	}
	if o.sample > 0 && o.sample < len(list) {
		slices.SortFunc(list, func(a, b *mutant) int {
			return cmp.Or(cmp.Compare(a.rank(o.seed), b.rank(o.seed)), cmp.Compare(a.ID, b.ID))
		})
		list = list[:o.sample]
		slices.SortFunc(list, func(a, b *mutant) int { return a.ID - b.ID })
	}
	return list
}

// rank is the mutant's place in the draw of a seed: the mutants of the lowest ranks
// are drawn. It depends on the change alone and not on the mutants around it, so that
// new code displaces only as many of the drawn as it puts in.
func (m *mutant) rank(seed uint64) uint64 {
	sum := sha256.Sum256([]byte(strconv.FormatUint(seed, 10) + "\x00" + m.key()))
	return bits.BigEndian.Uint64(sum[:8])
}

// baseline traces every test. A test that fails here is left out and named.
func (b *binary) baseline(ctx context.Context, stderr io.Writer) ([]testCase, []string, error) {
	names, err := b.list(ctx)
	if err != nil {
		return nil, nil, err
	}
	var tests []testCase
	var failing []string
	for _, name := range names {
		c, err := b.trace(ctx, name, 5*time.Minute)
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		if err != nil {
			fmt.Fprintln(stderr, "left out:", err)
			failing = append(failing, name)
			continue
		}
		tests = append(tests, c)
	}
	if len(tests) == 0 {
		return nil, nil, fmt.Errorf("%s: no test passes without a mutant", b.dir)
	}
	slices.SortStableFunc(tests, func(a, b testCase) int { return cmp.Compare(a.cpu, b.cpu) })
	var sum, cpu time.Duration
	for _, c := range tests {
		sum += c.took
		cpu += c.cpu
	}
	fmt.Fprintf(stderr, "%s: %d tests, %.1f s in all, %.1f s of a processor\n", filepath.Base(b.dir), len(tests), sum.Seconds(), cpu.Seconds())
	return tests, failing, nil
}

// tryAll tries the mutants with as many workers as asked for.
func (o *options) tryAll(ctx context.Context, b *binary, tests []testCase, result *outcome, deadline time.Time, stderr io.Writer) error {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	todo := make(chan *mutant)
	var mu sync.Mutex
	var workers sync.WaitGroup
	began, said, done := time.Now(), time.Now(), 0
	for range o.workers {
		workers.Go(func() {
			for m := range todo {
				var reaching []testCase
				for _, c := range tests {
					if c.reaches[m.ID] {
						reaching = append(reaching, c)
					}
				}
				f := b.try(ctx, m.ID, reaching)
				mu.Lock()
				result.fates[m.ID] = f
				done++
				if f == survived || f == notCovered {
					fmt.Fprintln(stderr, "survived:", line(m))
				}
				if time.Since(said) > 10*time.Second {
					said = time.Now()
					left := time.Duration(float64(time.Since(began)) / float64(done) * float64(len(result.mutants)-done))
					fmt.Fprintf(stderr, "%s: %d of %d, %d survived, %s to go\n", result.short, done, len(result.mutants),
						result.count(survived, notCovered), left.Round(time.Second))
				}
				mu.Unlock()
			}
		})
	}
	for _, m := range result.mutants {
		select {
		case todo <- m:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(todo)
	workers.Wait()
	if ctx.Err() != nil && time.Now().Before(deadline) {
		return ctx.Err()
	}
	if ctx.Err() != nil {
		fmt.Fprintf(stderr, "%s: out of time, %d of %d tried\n", result.short, done, len(result.mutants))
	}
	return nil
}
