package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/aggregator/mc"
)

// What decides a payment, and what a line loses, is said when a community begins.
func TestInitSettlement(t *testing.T) {
	run := func(args ...string) (*ledger.Genesis, error) {
		dir := filepath.Join(t.TempDir(), "community")
		cmd := mcInitCommand()
		cmd.SetOut(new(bytes.Buffer))
		cmd.SetArgs(append([]string{"--dir", dir}, args...))
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		if err := cmd.Execute(); err != nil {
			return nil, err
		}
		return mc.ReadGenesis(filepath.Join(dir, mc.GenesisFile))
	}
	for _, c := range []struct {
		args       []string
		settlement string
		lossE4     int64
	}{
		{nil, ledger.SettleByMeters, 0},
		{[]string{"--line-loss", "1.25"}, ledger.SettleByMeters, 125},
		{[]string{"--settlement", "paper"}, ledger.SettleByPaper, 0},
	} {
		g, err := run(c.args...)
		if err != nil || g.Params.Settlement != c.settlement || g.Params.LossE4 != c.lossE4 {
			t.Errorf("%v: %v", c.args, err)
		}
		if want := map[string]string{ledger.SettleByMeters: ledger.CreditRobust, ledger.SettleByPaper: ledger.CreditPaper}[c.settlement]; g.Params.Credit != want {
			t.Errorf("%v: credit %q, want %q", c.args, g.Params.Credit, want)
		}
		if want := map[string]string{ledger.SettleByMeters: ledger.AnswersByLedger, ledger.SettleByPaper: ledger.AnswersFirst}[c.settlement]; g.Params.Answers != want {
			t.Errorf("%v: answers %q, want %q", c.args, g.Params.Answers, want)
		}
	}
	for _, c := range []struct {
		args       string
		possession bool
		excuses    string
	}{
		{"", true, ledger.ExcusesWitnessed},
		{"--possession=false", false, ledger.ExcusesWitnessed},
		{"--excuses quota_of_holds", true, ledger.ExcusesByHolds},
		{"--credit paper", true, ledger.ExcusesFirst},
		{"--settlement paper", true, ledger.ExcusesFirst},
	} {
		if g, err := run(strings.Fields(c.args)...); err != nil || g.Params.Possession != c.possession || g.Params.Excuses != c.excuses || g.Params.WitnessActive != (c.excuses == ledger.ExcusesWitnessed) {
			t.Errorf("%q: %v", c.args, err)
		}
	}
	for text, want := range map[string]int64{"24h": 86_400_000, "0": 0, "1m": 60_000, "8784h": 366 * 86_400_000} {
		if g, err := run("--epoch-time", text); err != nil || g.Params.EpochMs != want {
			t.Errorf("--epoch-time %s: %v", text, err)
		}
	}
	if g, err := run(); err != nil || g.Params.EpochMs != 86_400_000 {
		t.Errorf("nothing said of the time of an epoch: %v", err)
	}
	g, err := run("--credit", "paper")
	if err != nil || g.Params.Credit != ledger.CreditPaper {
		t.Errorf("--credit paper: %v", err)
	}
	key := string(ledgertest.PublicKey("judge"))
	if g, err = run("--arbiter", "ada="+key, "--arbiter", "bob="+string(ledgertest.PublicKey("bob"))); err != nil || len(g.Arbiters) != 2 || g.Arbiters[0].ID != "ada" || string(g.Arbiters[0].PublicKey) != key {
		t.Errorf("--arbiter: %v", err)
	}
	if g, err = run("--answers", "ledger"); err != nil || g.Params.Answers != ledger.AnswersByLedger || g.Params.TokenMs != 120_000 {
		t.Errorf("--answers ledger: %v", err)
	}
	if g, err = run("--answers", "centre"); err != nil || g.Params.Answers != ledger.AnswersFirst {
		t.Errorf("--answers centre: %v", err)
	}
	for _, c := range [][]string{{"--answers", "oracle"}, {"--answers", ""}, {"--answers", "ledger", "--settlement", "paper"}, {"--credit", "stars"}, {"--credit", ""}, {"--arbiter", "ada=" + key}, {"--arbiter", "ada"},
		{"--epoch-time", "59999ms"}, {"--epoch-time", "-1h"}, {"--epoch-time", "8784h1ms"}} {
		if _, err := run(c...); err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(c[0], "--")) {
			t.Errorf("%v: %v", c, err)
		}
	}
	for _, c := range [][]string{{"--settlement", ""}, {"--settlement", "halves"}, {"--line-loss", "-1"}, {"--line-loss", "51"}} {
		if _, err := run(c...); err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(c[0], "--")) && !strings.Contains(err.Error(), "line-loss") {
			t.Errorf("%v: %v", c, err)
		}
	}
}

// An auction and its times are said when a community begins, and nothing of it otherwise.
func TestInitMechanism(t *testing.T) {
	run := func(args string) (ledger.Params, error) {
		dir := filepath.Join(t.TempDir(), "community")
		cmd := mcInitCommand()
		cmd.SetOut(new(bytes.Buffer))
		cmd.SetArgs(append([]string{"--dir", dir}, strings.Fields(args)...))
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		if err := cmd.Execute(); err != nil {
			return ledger.Params{}, err
		}
		g, err := mc.ReadGenesis(filepath.Join(dir, mc.GenesisFile))
		if err != nil {
			return ledger.Params{}, err
		}
		return g.Params, nil
	}
	usual := ledger.SlotRules{SlotMs: 900_000, GateClosureMs: 300_000, SlotReadingsMs: 600_000}
	for args, want := range map[string]ledger.SlotRules{
		"": {}, "--mechanism bilateral": {}, "--mechanism auction": usual, "--mechanism sharing": usual,
		"--mechanism auction --slot-time 5m --gate-closure 1m --slot-readings 30m": {SlotMs: 300_000, GateClosureMs: 60_000, SlotReadingsMs: 1_800_000},
	} {
		p, err := run(args)
		if err != nil || p.SlotRules != want || (p.Mechanism != ledger.MechanismFirst) != (want != ledger.SlotRules{}) || strings.Contains(args, "sharing") != (p.Mechanism == ledger.MechanismSharing) {
			t.Errorf("%q: %q, %+v, %v", args, p.Mechanism, p.SlotRules, err)
		}
	}
	for args, want := range map[string]string{
		"--mechanism lottery":                      `--mechanism "lottery": bilateral, auction or sharing`,
		"--slot-time 5m":                           "--slot-time needs --mechanism auction or sharing",
		"--gate-closure 5m":                        "--gate-closure needs --mechanism auction or sharing",
		"--slot-readings 5m --mechanism bilateral": "--slot-readings needs --mechanism auction or sharing",
		"--mechanism auction --settlement paper":   "--mechanism auction needs --settlement meters and --credit robust",
		"--mechanism auction --credit paper":       "--mechanism auction needs --settlement meters and --credit robust",
		"--mechanism auction --slot-time 61m":      "slot_ms: 3660000, want",
		"--mechanism auction --slot-time 90500ms":  "slot_ms",
		"--mechanism auction --gate-closure 999ms": "gate_closure_ms: 999, want",
		"--mechanism auction --slot-readings 0s":   "slot_readings_ms: 0, want",
		"--mechanism auction --state data":         `--state "data"`,
	} {
		if _, err := run(args); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", args, err, want)
		}
	}
}
