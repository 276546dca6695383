package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// report is the part of a grid's report that the checks read.
type report struct {
	Height uint64
	Trades struct {
		Requested, Settled int
		Held               int `json:"held_by_hazard"`
	}
	Epochs       uint64
	ViewChanges  uint64 `json:"view_changes"`
	ViewChangeMs int64  `json:"view_change_ms"`
	Relay        struct{ Forwarded, Pulled uint64 }
	Dropped      uint64
	Unanswered   uint64
	Money        bool `json:"money_conserved"`
	Energy       bool `json:"energy_conserved"`
	Chain        bool `json:"chain_verified"`
	Problems     []string
	Contactors   *int `json:"contactor_violations"` // nil: the relays were not asked
}

// A scenario is one run of the grid: its arguments, and the claims about its report
// besides those that always hold.
type scenario struct {
	name  string
	args  []string
	check func(report) error
}

var scenarios = []scenario{
	{"plain", nil, func(r report) error {
		return need("blocks are forwarded", r.Relay.Forwarded > 0, "at least 1 trade held by a hazard", r.Trades.Held >= 1, "at least 20 settled", r.Trades.Settled >= 20)
	}},
	{"root killed", []string{"--kill-root-after", "20s"}, func(r report) error {
		return need("blocks are forwarded", r.Relay.Forwarded > 0, "a view change", r.ViewChanges >= 1, "within 3 s", r.ViewChangeMs > 0 && r.ViewChangeMs <= 3000, "trades still settle", r.Trades.Settled >= 15)
	}},
	// With four data aggregators the one that drops is the only forwarder.
	{"forwarder drops every block", []string{"--misbehave", "drop-blocks"}, func(r report) error {
		return need("blocks are pulled", r.Relay.Pulled > 0, "trades still settle", r.Trades.Settled >= 15)
	}},
	{"broker away for 10 s, a stranger forges", []string{"--misbehave", "broker-outage,forged-records"}, func(r report) error {
		return need("blocks are forwarded", r.Relay.Forwarded > 0, "every record was answered", r.Unanswered == 0, "trades still settle", r.Trades.Settled >= 10)
	}},
}

func main() {
	length := flag.Duration("for", 60*time.Second, "length of a run")
	traces := flag.String("traces", "", "folder of traces instead of the built-in scenarios")
	flag.Parse()
	dir, err := os.MkdirTemp("", "fairwatt-gridcheck-")
	if err == nil {
		err = run(dir, *length, *traces)
		err = errors.Join(err, os.RemoveAll(dir))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gridcheck:", err)
		os.Exit(1)
	}
	fmt.Println("gridcheck: all runs are in order")
}

// run plays every scenario and then alters an export of the first one's chain.
func run(dir string, length time.Duration, traces string) error {
	var failed error
	for i, s := range scenarios {
		data := filepath.Join(dir, fmt.Sprint("data-", i))
		args := append([]string{"--for", length.String(), "--data", data}, s.args...)
		if traces != "" {
			args = append(args, "--traces", traces)
		}
		r, err := grid(args, filepath.Join(dir, fmt.Sprint("report-", i, ".json")), length)
		if err == nil {
			err = errors.Join(always(r), s.check(r))
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", s.name, err))
			fmt.Printf("gridcheck: %s: FAILED: %v\n", s.name, err)
			continue
		}
		fmt.Printf("gridcheck: %s: %d settled, %d held, %d blocks, %d epochs, %d view changes, %d forwarded, %d pulled\n",
			s.name, r.Trades.Settled, r.Trades.Held, r.Height, r.Epochs, r.ViewChanges, r.Relay.Forwarded, r.Relay.Pulled)
	}
	if failed != nil {
		return failed
	}
	return checkChain(filepath.Join(dir, "data-0", "da-2"), dir)
}

// always checks the claims about every run.
func always(r report) error {
	err := need("2 or more epochs", r.Epochs >= 2, "nothing dropped", r.Dropped == 0,
		"money conserved", r.Money, "energy conserved", r.Energy, "chain verified", r.Chain,
		"no contactor is closed while its gate is not open", r.Contactors != nil && *r.Contactors == 0)
	if err != nil && len(r.Problems) > 0 {
		return fmt.Errorf("%w (%s)", err, strings.Join(r.Problems, "; "))
	}
	return err
}

// need takes pairs of a claim and whether it holds, and names the false claims.
func need(pairs ...any) error {
	var failed []error
	for i := 0; i < len(pairs); i += 2 {
		if !pairs[i+1].(bool) {
			failed = append(failed, fmt.Errorf("not so: %s", pairs[i]))
		}
	}
	return errors.Join(failed...)
}

func grid(args []string, out string, length time.Duration) (report, error) {
	ctx, cancel := context.WithTimeout(context.Background(), length+90*time.Second)
	defer cancel()
	args = append([]string{"grid", "--http", "", "--report", out}, args...)
	cmd := exec.CommandContext(ctx, "bin/firmware-sim", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return report{}, fmt.Errorf("firmware-sim %s: %w\n%s", strings.Join(args, " "), err, tail(stderr.Bytes()))
	}
	b, err := os.ReadFile(out)
	if err != nil {
		return report{}, err
	}
	var r report
	return r, json.Unmarshal(b, &r)
}

// tail is the end of a log.
func tail(b []byte) []byte { return b[max(0, len(b)-4000):] }

// checkChain exports a chain, verifies it, and alters the export in several ways.
// Each must be refused with the height and a reason.
func checkChain(data, dir string) error {
	export := filepath.Join(dir, "export.jsonl")
	out, err := exec.Command("bin/aggregator", "chain", "export", "--data", data).Output()
	if err != nil {
		return fmt.Errorf("chain export: %w", err)
	}
	if err := os.WriteFile(export, out, 0o600); err != nil {
		return err
	}
	genesis := filepath.Join(data, "genesis.json")
	if msg, err := verify(genesis, export); err != nil {
		return fmt.Errorf("chain verify refuses an honest export: %w: %s", err, msg)
	}
	lines := readLines(out)
	if len(lines) < 10 {
		return fmt.Errorf("an export of %d lines is too short to alter", len(lines))
	}
	alterations := map[string][]string{
		"a block left out":       append(append([]string{}, lines[:5]...), lines[6:]...),
		"two blocks swapped":     swapped(lines, 5, 6),
		"a changed block":        altered(lines, 4, `"block":"`),
		"a changed certificate":  altered(lines, 4, `"certificate":"`),
		"a changed last block":   altered(lines, len(lines)-1, `"block":"`),
		"a changed last ballot":  altered(lines, len(lines)-1, `"certificate":"`),
		"a changed decoded form": altered(lines, 4, `"decoded":{"`),
	}
	for what, lines := range alterations {
		path := filepath.Join(dir, "altered.jsonl")
		if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			return err
		}
		msg, err := verify(genesis, path)
		if err == nil {
			return fmt.Errorf("chain verify accepts %s", what)
		}
		if !strings.Contains(msg, "height") {
			return fmt.Errorf("chain verify refuses %s without the height: %s", what, msg)
		}
		fmt.Printf("gridcheck: %s: %s\n", what, strings.TrimSpace(msg))
	}
	return nil
}

func verify(genesis, export string) (string, error) {
	out, err := exec.Command("bin/aggregator", "chain", "verify", "--genesis", genesis, "--export", export).CombinedOutput()
	return string(out), err
}

func readLines(b []byte) []string {
	var lines []string
	scanner := bufio.NewScanner(bytes.NewReader(b))
	scanner.Buffer(nil, 64<<20)
	for scanner.Scan() {
		lines = append(lines, scanner.Text())
	}
	return lines
}

func swapped(lines []string, i, j int) []string {
	lines = append([]string{}, lines...)
	lines[i], lines[j] = lines[j], lines[i]
	return lines
}

// altered changes one letter behind the marker of line i.
func altered(lines []string, i int, marker string) []string {
	lines = append([]string{}, lines...)
	at := strings.Index(lines[i], marker) + len(marker) + 2
	c := byte('A')
	if lines[i][at] == 'A' {
		c = 'B'
	}
	lines[i] = lines[i][:at] + string(c) + lines[i][at+1:]
	return lines
}
