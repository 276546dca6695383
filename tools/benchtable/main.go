package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/perf/benchfmt"
)

// A figure is one measured number.
type figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	Note  string  `json:"note"`
}

// A suite is a package's benchmarks, how long they run, and the rows of the table
// that name their results. Results without a row are left out.
type suite struct {
	pkg, bench, benchtime string
	rows                  []row
}

// A row is one result's place in the table.
type row struct {
	bench, unit string  // as the benchmark reports them
	name, in    string  // in the table, and its unit there
	scale       float64 // factor from the benchmark's unit to the table's
	perOp       float64 // instead of scale: things an operation; the row is in things a second
	note        string
}

// programs are the two agents: the default one and the one built with the tag
// lite.
var programs = []string{"agent", "agent-lite"}

// yearSamples is how many rows BenchmarkReplayYear replays a round.
const yearSamples = 8760

// The benchmarks of agreement get a number of records, not a time, because each
// builds four data aggregators.
const (
	doorRecords   = "30000x"
	pacedRecords  = "20000x"
	brokerRecords = "20000x"
	// One operation of these is 2000 records.
	membersRecords = "1x"
)

var suites = []suite{
	{"./model", "JudgeStep|ReplayYear|Extractor", "500ms", []row{
		{"ReplayYear", "ns/op", "judgement, replayed", "samples/s", 0, yearSamples, "a year of hourly samples, trace reading included, without the network"},
		{"JudgeStep", "ns/op", "judgement, one sample", "us", 1e-3, 0, "rules and gate"},
		{"ExtractorFeatures", "ns/op", "features for the network", "us", 1e-3, 0, ""},
	}},
	{"./model/trace", "Reader", "500ms", []row{{"Reader", "MB/s", "trace reading", "MB/s", 1, 0, ""}}},
	{"./model/nnet", "Score$", "500ms", []row{{"Score", "ns/op", "inference", "us", 1e-3, 0, "batch 1, pure Go, two heads"}}},
	{"./model/nnet", "Judgement$", "20000x", []row{
		{"Judgement", "p50_us", "live judgement, p50", "us", 1, 0, "features, rules, network and gate, every sensor"},
		{"Judgement", "p99_us", "live judgement, p99", "us", 1, 0, "the same; to stay under 1000"},
		{"Judgement", "pct_of_10Hz", "live judgement, share of a period at 10 Hz", "%", 1, 0, "mean, the network asked every time"},
	}},
	{"./model/nnet", "ReplaySeconds|ScoreRows", "2s", []row{
		{"ReplaySeconds", "samples/s", "batch replay", "samples/s", 1, 0, "features, rules, gate and the network once a minute of trace; a trace a core; 500000 aimed at"},
		{"ScoreRows", "rows/s", "batch scoring", "rows/s", 1, 0, "the network on every row, all cores; 500000 aimed at"},
	}},
	{"./proto/seal", ".", "500ms", []row{
		{"Seal", "ns/op", "seal a record", "us", 1e-3, 0, "ed25519"},
		{"Open", "ns/op", "verify a record", "us", 1e-3, 0, "ed25519"},
		{"OpenBatch500", "us/message", "verify a record, batched", "us", 1, 0, "batches of 500"},
	}},
	{"./aggregator/wct", "Scale|OCTDense", "3x", []row{
		{"ScaleWCT/n=1000", "ns/op", "WCT, 1000 nodes", "ms", 1e-6, 0, "4 measured receivers each"},
		{"ScaleWCT/n=1000000", "ns/op", "WCT, 1000000 nodes", "ms", 1e-6, 0, "4 measured receivers each; to stay under 1000"},
		{"ScaleWCT/n=1000000", "B/node", "WCT, 1000000 nodes: memory", "bytes/node", 1, 0, "allocated in all; to stay under 200"},
		{"OCTDense/n=4", "ns/op", "oct, 4 nodes", "ms", 1e-6, 0, "all overheads measured"},
		{"OCTDense/n=50", "ns/op", "oct, 50 nodes", "ms", 1e-6, 0, "all overheads measured"},
		{"OCTDense/n=200", "ns/op", "oct, 200 nodes", "ms", 1e-6, 0, "all overheads measured; to stay under 300"},
		{"ScaleOCT/n=100000", "ns/op", "oct, 100000 nodes", "ms", 1e-6, 0, "16 measured receivers each; to stay under 5000"},
	}},
	{"./aggregator/ledger", ".", "500ms", []row{
		{"Build", "us/record", "execute a record, leader", "us", 1, 0, "blocks of 500"},
		{"Verify/with_signatures", "us/record", "execute a record, follower", "us", 1, 0, "blocks of 500"},
		{"CheckRecord", "ns/op", "check a record at the door", "us", 1e-3, 0, ""},
	}},
	{"./aggregator/store", ".", "100x", []row{{"Append", "ns/op", "store a block", "ms", 1e-6, 0, "500 records, with fsync"}}},
	{"./aggregator", "Door$", doorRecords, agreement("Door", "door", "4 DAs in one process, fsync, memory links, 2000 in flight")},
	{"./aggregator", "DoorPaced$", pacedRecords, agreement("DoorPaced", "door at 4000 records/s", "4 DAs in one process, fsync, memory links")},
	members(16, 250, "16 members at 250 records/s"),
	members(16, 0, "16 members"),
	members(50, 250, "50 members at 250 records/s"),
	members(50, 0, "50 members"),
	{"./firmware-sim/grid", "ThroughBroker$", brokerRecords, append(
		agreement("ThroughBroker", "broker", "4 DAs in one process, fsync, gRPC and MQTT with mutual TLS, 2000 in flight"),
		row{"ThroughBroker", "view_changes", "broker: view changes", "", 1, 0, "not 0: the machine was too busy for the timeouts of agreement"},
	)},
}

// agreement are the rows of a benchmark that sends records to four DAs.
func agreement(bench, name, note string) []row {
	return []row{
		{bench, "records/s", name + ": records", "records/s", 1, 0, note},
		{bench, "p50_ms", name + ": ATCT p50", "ms", 1, 0, "to final at every DA"},
		{bench, "p99_ms", name + ": ATCT p99", "ms", 1, 0, "to final at every DA"},
	}
}

const membersNote = "in one process, fsync, memory links, without a ledger"

// members is agreement among so many members in one process, at so many records a
// second or, at 0, as fast as they go. Each has the time of a suite for itself.
func members(n, perS int, name string) suite {
	bench := fmt.Sprintf("Members/%d-members/%d-per-s", n, perS)
	return suite{"./aggregator/consensus", bench + "$", membersRecords, []row{
		{bench, "records/s", name + ": records", "records/s", 1, 0, membersNote},
		{bench, "p50-ms", name + ": p50", "ms", 1, 0, membersNote},
		{bench, "p99-ms", name + ": p99", "ms", 1, 0, membersNote},
	}}
}

func main() {
	soak := flag.Duration("soak", 10*time.Minute, "how long the agent runs before its memory is read; 0 leaves it out")
	sizes := flag.Bool("sizes", false, "only sizes and memory, no speed")
	idle := flag.Duration("idle", time.Minute, "how long four data aggregators are idle before their use is read; 0 leaves them out")
	only := flag.Bool("only-idle", false, "only the idle data aggregators")
	out := flag.String("out", "build/bench.json", "where the JSON goes")
	flag.Parse()
	chosen := suites
	if *sizes {
		chosen, *idle = nil, 0
	}
	if err := run(context.Background(), plan{chosen, *soak, *idle, *only}, *out); err != nil {
		fmt.Fprintln(os.Stderr, "benchtable:", err)
		os.Exit(1)
	}
}

// A plan is what is measured.
type plan struct {
	suites     []suite
	soak, idle time.Duration
	onlyIdle   bool
}

// run measures part by part. A part that fails is named at once and in the error.
// The others are still measured, printed and written.
func run(ctx context.Context, p plan, out string) error {
	var figures []figure
	var failed []error
	part := func(name string, measure func() ([]figure, error)) {
		fmt.Fprintf(os.Stderr, "%s ...\n", name)
		began := time.Now()
		got, err := measure()
		if err != nil {
			err = fmt.Errorf("%s: %w", name, err)
			fmt.Fprintln(os.Stderr, "FAILED:", err)
			failed = append(failed, err)
		}
		figures = append(figures, got...)
		fmt.Fprintf(os.Stderr, "  took %.0f s\n", time.Since(began).Seconds())
	}
	if p.idle > 0 {
		part(fmt.Sprintf("four data aggregators, idle for %v", p.idle), func() ([]figure, error) { return idleAggregators(ctx, p.idle) })
	}
	if !p.onlyIdle {
		p.others(ctx, part)
	}
	if err := printTable(os.Stdout, figures); err != nil {
		return err
	}
	b, err := json.MarshalIndent(figures, "", "  ")
	if err != nil {
		return err
	}
	failed = append(failed, os.WriteFile(out, append(b, '\n'), 0o644))
	return errors.Join(failed...)
}

// others are the parts but the idle data aggregators.
func (p plan) others(ctx context.Context, part func(name string, measure func() ([]figure, error))) {
	for _, s := range p.suites {
		part(fmt.Sprintf("benchmarks of %s (%s)", s.pkg, s.bench), func() ([]figure, error) { return benchmarks(ctx, s) })
	}
	part("replay", func() ([]figure, error) { return replayYear(ctx) })
	part("sizes", binarySizes)
	for _, program := range programs {
		if p.soak > 0 {
			part(fmt.Sprintf("%s on a simulated board for %v", program, p.soak), func() ([]figure, error) { return soakAgent(ctx, program, p.soak) })
		}
	}
}

// benchmarks runs one suite and returns its rows.
func benchmarks(ctx context.Context, s suite) ([]figure, error) {
	ctx, cancel := context.WithTimeout(ctx, 18*time.Minute)
	defer cancel()
	var stdout bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", s.bench, "-benchtime", s.benchtime, "-timeout", "17m", s.pkg)
	cmd.Stdout, cmd.Stderr = &stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("benchmarks of %s: %w\n%s", s.pkg, err, stdout.String())
	}
	figures, err := parse(&stdout, s.rows)
	if err != nil {
		return nil, fmt.Errorf("benchmarks of %s: %w", s.pkg, err)
	}
	return figures, nil
}

// parse reads the output of `go test -bench` and returns a figure for each row,
// in the rows' order. A row without a result is an error: a benchmark that was
// renamed must not vanish from the table.
func parse(r io.Reader, rows []row) ([]figure, error) {
	type key struct{ bench, unit string }
	results := make(map[key]float64)
	reader := benchfmt.NewReader(r, "benchmarks")
	for reader.Scan() {
		switch rec := reader.Result().(type) {
		case *benchfmt.Result:
			for _, v := range rec.Values {
				value, unit := v.Value, v.Unit
				if v.OrigUnit != "" {
					value, unit = v.OrigValue, v.OrigUnit
				}
				results[key{benchName(rec), unit}] = value
			}
		case *benchfmt.SyntaxError:
			return nil, rec
		}
	}
	if err := reader.Err(); err != nil {
		return nil, err
	}
	figures := make([]figure, len(rows))
	for i, row := range rows {
		value, ok := results[key{row.bench, row.unit}]
		if !ok {
			return nil, fmt.Errorf("no result %s of Benchmark%s", row.unit, row.bench)
		}
		if row.perOp > 0 { // of ns/op
			value = row.perOp * 1e9 / value
		} else {
			value *= row.scale
		}
		figures[i] = figure{row.name, value, row.in, row.note}
	}
	return figures, nil
}

// benchName is a benchmark's name with its parameters, without the number of
// processors at the end.
func benchName(r *benchfmt.Result) string {
	base, parts := r.Name.Parts()
	for _, p := range parts {
		if !bytes.HasPrefix(p, []byte("-")) {
			base = append(base[:len(base):len(base)], p...)
		}
	}
	return string(base)
}

// replayYear makes a year of hourly samples and replays it with the agent program:
// start, network and events included.
func replayYear(ctx context.Context) ([]figure, error) {
	dir, err := os.MkdirTemp("", "fairwatt-replay-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	trace := filepath.Join(dir, "year.csv")
	err = command(ctx, "bin/firmware-sim", "scenario", "--name", "calm", "--interval", "1h", "--hours", fmt.Sprint(yearSamples), "--out", trace)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := command(ctx, "bin/agent", "replay", "--trace", trace, "--events", filepath.Join(dir, "events.jsonl")); err != nil {
		return nil, err
	}
	took := time.Since(began).Seconds()
	note := "the whole program, with the network"
	return []figure{
		{"agent replay, a year of hourly samples", took, "s", note},
		{"agent replay", yearSamples / took, "samples/s", note},
	}, nil
}

// command runs a program. If it fails, the error has its output.
func command(ctx context.Context, name string, args ...string) error {
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

func binarySizes() ([]figure, error) {
	var figures []figure
	for _, program := range programs {
		for _, arch := range []string{"linux-armv6", "linux-armv7", "linux-arm64"} {
			info, err := os.Stat(filepath.Join("bin", arch, program))
			if err != nil {
				return nil, fmt.Errorf("agent binary (run make arm first): %w", err)
			}
			figures = append(figures, figure{program + " binary " + arch, float64(info.Size()) / 1e6, "MB", "stripped; make arm says how large it may be"})
		}
	}
	return figures, nil
}

func printTable(w io.Writer, figures []figure) error {
	tw := tabwriter.NewWriter(w, 2, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "name\tvalue\tunit\tnote")
	for _, f := range figures {
		fmt.Fprintf(tw, "%s\t%.6g\t%s\t%s\n", f.Name, f.Value, f.Unit, f.Note)
	}
	return tw.Flush()
}
