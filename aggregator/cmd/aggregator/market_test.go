package main

import (
	"bytes"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
)

// market is a chain with robust credit on which promises are kept and broken, in an
// export.
func marketChain(t *testing.T) (*ledgertest.Chain, string) {
	t.Helper()
	g := ledgertest.Genesis(1, 2, 1)
	ledgertest.Robust(g)
	g.Params.ListBelowE6 = 450_000
	c, err := ledgertest.New(g)
	if err != nil {
		t.Fatal(err)
	}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	send := func(sender string, r *fairwattpb.Record) {
		t.Helper()
		o, err := c.Send(sender, r)
		if err != nil || !o.Applied {
			t.Fatalf("%v, %v", o, err)
		}
	}
	wait := func(ms int64) {
		t.Helper()
		c.NowMs += ms
		_, err := c.Advance()
		do(err)
	}
	gate := func(sender string, seq uint64, state fairwattpb.GateState) {
		c := &fairwattpb.GateChange{GateSeq: seq, State: state}
		if state != fairwattpb.GateState_GATE_STATE_OPEN {
			c.Causes = []*fairwattpb.Cause{{Rule: "W03", Kind: "wind", Level: "critical", Text: "a gust of 26 m/s"}}
		}
		send(sender, &fairwattpb.Record{Body: &fairwattpb.Record_GateChange{GateChange: c}})
	}
	for _, m := range g.Members {
		for reference, bond := range map[string]bool{"money-": false, "bond-": true} {
			send(ledgertest.Centre, &fairwattpb.Record{Body: &fairwattpb.Record_Deposit{Deposit: &fairwattpb.Deposit{
				To: m.ID, AmountMicro: 3_000_000, Reference: reference + m.ID, Bond: bond}}})
		}
	}
	gate("seller-1", 1, fairwattpb.GateState_GATE_STATE_OPEN)
	deal := func(id string) *ledgertest.Deal {
		return &ledgertest.Deal{Chain: c, ID: id, Seller: "seller-1", Buyer: "buyer-1", VolumeWh: 2000, PriceMicroPerKWh: 200_000}
	}
	wait(g.Params.CreditPeriodMs)
	do(deal("kept").Whole())

	excused := deal("excused")
	do(excused.Pay())
	do(excused.Start())
	gate("seller-1", 2, fairwattpb.GateState_GATE_STATE_BLOCKED)
	do(excused.Bill(0, 0))
	gate("seller-1", 3, fairwattpb.GateState_GATE_STATE_OPEN)

	disputed := deal("disputed")
	do(disputed.Pay())
	do(disputed.Start())
	c.NowMs += 60_000
	do(disputed.Bill(2000, 0))
	do(disputed.Confirm(0))

	do(deal("broken").Pay())
	wait(g.Params.StartByMs)
	for _, judge := range ledgertest.Arbiters[:2] {
		send(judge, &fairwattpb.Record{Body: &fairwattpb.Record_Verdict{Verdict: &fairwattpb.Verdict{
			TradeId: "disputed", Finding: fairwattpb.Finding_FINDING_SELLER, TextHash: make([]byte, 32)}}})
	}
	wait(20 * g.Params.ListMs)
	send("seller-1", c.KeyChange("seller-1", "seller-1-2"))
	send(ledgertest.Centre, ledgertest.Suspend("seller-2"))

	return c, exportOf(t, c)
}

// exportOf writes a chain's export to a file.
func exportOf(t *testing.T, c *ledgertest.Chain) (file string) {
	t.Helper()
	export, err := c.Genesis.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	export = append(export, '\n')
	for _, cb := range c.Blocks {
		line, err := ledger.EncodeExportLine(cb)
		if err != nil {
			t.Fatal(err)
		}
		export = append(append(export, line...), '\n')
	}
	file = filepath.Join(t.TempDir(), "chain.jsonl")
	if err := os.WriteFile(file, export, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func runMarket(args ...string) (string, error) {
	root := &cobra.Command{Use: "aggregator", SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(marketCommand(), chainCommand())
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&bytes.Buffer{})
	root.SetArgs(args)
	err := root.Execute()
	return out.String(), err
}

// Every step of credit, fine and listing is told with its height and the record that did
// it, and the record is on the chain at that height.
func TestMarketWhy(t *testing.T) {
	c, file := marketChain(t)
	out, err := runMarket("market", "why", "--export", file, "--user", "seller-1", "--json")
	if err != nil {
		t.Fatal(err)
	}
	var w why
	if err := json.Unmarshal([]byte(out), &w); err != nil {
		t.Fatal(err)
	}
	a, _, _ := c.State.AccountAt("seller-1", c.State.TimeMs())
	if w.CreditE6 != a.CreditE6 || w.GoodWh != a.GoodWh || w.BadWh != a.BadWh || w.Height != c.State.Height() || w.BondMicro != a.BondMicro || w.Blacklisted {
		t.Errorf("%+v, the account is %+v", w, a)
	}
	want := map[string]string{
		"kept kept": "confirm", "excused excused": "bill", "charged disputed": "confirm", "broke broken": "", "fined broken": "",
		"listed broken": "", "found disputed": "verdict", "broke disputed": "verdict", "listed disputed": "verdict", "back ": "",
	}
	for _, s := range w.Steps {
		kind := ""
		if s.Record != "" {
			_, _, records, err := ledger.DecodeBlock(c.Blocks[s.Height-1].Block)
			if err != nil {
				t.Fatal(err)
			}
			for _, sealed := range records {
				id := seal.ID(sealed)
				_, payload, err := seal.Peek(sealed)
				r := &fairwattpb.Record{}
				if err := errors.Join(err, proto.Unmarshal(payload, r)); err != nil {
					t.Fatal(err)
				}
				if hex.EncodeToString(id[:]) == s.Record {
					kind = ledger.Kind(r)
				}
			}
			if kind == "" {
				t.Errorf("%+v: no such record at this height", s)
			}
		}
		if by, ok := want[s.Kind+" "+s.Trade]; ok && by == kind {
			delete(want, s.Kind+" "+s.Trade)
		}
	}
	if len(want) > 0 {
		t.Errorf("not told: %v\n%s", want, out)
	}
	text, err := runMarket("market", "why", "--export", file, "--user", "seller-1")
	if err != nil {
		t.Fatal(err)
	}
	if w.Standing != "active" || w.StandingHeight != 0 || w.KeyHeight != c.State.Height()-1 {
		t.Errorf("the standing of seller-1: %+v", w)
	}
	for _, sentence := range []string{
		fmt.Sprintf("changed in block %d", w.KeyHeight),
		"kept a promise, trade kept: 2000 Wh, vouched for by buyer-1 (credit 0.545454)", "was excused, trade excused: gate change 2 kept it from delivering, excuse 1 of 3 in 10 sales: W03 a gust of 26 m/s",
		"paid 0.076000 to buyer-1, trade broken: no start in time", "came onto the list until", "a verdict, trade disputed: the arbiters find: the seller is at fault", "is off the list",
	} {
		if !strings.Contains(text, sentence) {
			t.Errorf("not said: %s\n%s", sentence, text)
		}
	}
	for name, args := range map[string][]string{
		"no user": {"--export", file}, "no chain": {"--user", "seller-1"}, "a stranger": {"--export", file, "--user", "stranger"},
		"another genesis": {"--export", file, "--user", "seller-1", "--genesis", filepath.Join(chainDir(t, 1), genesisFile)},
	} {
		if _, err := runMarket(append([]string{"market", "why"}, args...)...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// A statement adds up to the account of the chain, month by month, and its lines to the
// balances, in every form.
func TestMarketStatement(t *testing.T) {
	c, file := marketChain(t)
	for _, m := range c.Genesis.Members {
		closing := balance{}
		lines := 0
		for _, month := range []string{"2023-11", "2023-12", "2024-01"} {
			out, err := runMarket("market", "statement", "--export", file, "--member", m.ID, "--month", month, "--json")
			if err != nil {
				t.Fatal(err)
			}
			var s statement
			if err := json.Unmarshal([]byte(out), &s); err != nil {
				t.Fatal(err)
			}
			if s.Opening != closing {
				t.Errorf("%s %s begins with %+v, the month before ended with %+v", m.ID, month, s.Opening, closing)
			}
			sum := s.Opening
			for _, l := range s.Lines {
				sum.WalletMicro += l.WalletMicro
				sum.EscrowMicro += l.EscrowMicro
				sum.BondMicro += l.BondMicro
			}
			if sum != s.Closing {
				t.Errorf("%s %s: the lines add up to %+v, the end is %+v", m.ID, month, sum, s.Closing)
			}
			closing, lines = s.Closing, lines+len(s.Lines)

			table, err := runMarket("market", "statement", "--export", file, "--member", m.ID, "--month", month, "--csv")
			if err != nil {
				t.Fatal(err)
			}
			rows, err := csv.NewReader(strings.NewReader(table)).ReadAll()
			if err != nil || len(rows) != len(s.Lines)+3 {
				t.Fatalf("%v, %d rows", err, len(rows))
			}
			last := rows[len(rows)-1]
			if last[9] != strconv.FormatInt(s.Closing.WalletMicro, 10) || last[11] != strconv.FormatInt(s.Closing.BondMicro, 10) {
				t.Errorf("the table ends with %v", last)
			}
		}
		a, _ := c.State.Account(m.ID)
		if closing.WalletMicro != a.WalletMicro || closing.BondMicro != a.BondMicro+a.LeavingMicro || closing.EscrowMicro != 0 || lines < 2 {
			t.Errorf("%s: %d lines end with %+v, the account is %+v", m.ID, lines, closing, a)
		}
	}
	text, err := runMarket("market", "statement", "--export", file, "--member", "buyer-1", "--month", "2023-12")
	if err != nil || !strings.Contains(text, "2.000 kWh for 0.400000") {
		t.Errorf("%v\n%s", err, text)
	}
	for _, args := range [][]string{{"--member", "buyer-1"}, {"--month", "2023-12"}, {"--member", "buyer-1", "--month", "December"},
		{"--member", "buyer-1", "--month", "2023-12", "--csv", "--json"}, {"--member", "stranger", "--month", "2023-12"}} {
		if _, err := runMarket(append([]string{"market", "statement", "--export", file}, args...)...); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}

func TestMarketCases(t *testing.T) {
	_, file := marketChain(t)
	out, err := runMarket("market", "cases", "--export", file, "--json")
	if err != nil {
		t.Fatal(err)
	}
	var c openCases
	if err := json.Unmarshal([]byte(out), &c); err != nil {
		t.Fatal(err)
	}
	if len(c.Cases) != 0 || len(c.List) != 0 || c.ListVersion != 3 { // listed, listed anew, back
		t.Errorf("%s", out)
	}
	if len(c.Out) != 1 || c.Out[0] != (outUser{"seller-2", "suspended", c.Height, "unpaid"}) {
		t.Errorf("suspended or revoked: %+v", c.Out)
	}
	for _, args := range [][]string{{"why", "--user", "seller-2"}, {"cases"}} {
		text, err := runMarket(append([]string{"market", args[0], "--export", file}, args[1:]...)...)
		if err != nil || !regexp.MustCompile(fmt.Sprintf(`suspended( since block|) +%d.* unpaid`, c.Height)).MatchString(text) {
			t.Errorf("%v: %v\n%s", args, err, text)
		}
	}
	// Cut off behind the dispute, the case is open.
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(b, []byte(`"verdict":{`))
	short := filepath.Join(t.TempDir(), "short.jsonl")
	if err := os.WriteFile(short, b[:bytes.LastIndexByte(b[:at], '\n')+1], 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := runMarket("market", "cases", "--export", short)
	if err != nil || !strings.Contains(text, "0.600000 of it held for 1 cases") || !strings.Contains(text, "no start in time") {
		t.Errorf("%v\n%s", err, text)
	}
	if verified, err := runMarket("chain", "verify", "--export", short); err != nil || !strings.Contains(verified, "in bonds + 0.600000 in the fund") {
		t.Errorf("%v\n%s", err, verified)
	}
}

// A chain that does not verify is refused with its height by all that read it.
func TestMarketRefusesABrokenChain(t *testing.T) {
	dir := chainDir(t, 4)
	export, err := runChain("export", "--data", dir)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(export, "\n")
	path := filepath.Join(t.TempDir(), "chain.jsonl")
	if err := os.WriteFile(path, []byte(lines[0]+lines[1]+lines[3]), 0o600); err != nil {
		t.Fatal(err)
	}
	source := chainSource{export: path}
	if _, err := source.why(&cobra.Command{}, "buyer-1"); err == nil || !strings.Contains(err.Error(), "height 2: ") {
		t.Errorf("why: %v", err)
	}
}

// What a command says of a chain rests on its genesis: without a trusted one it warns, as
// chain verify does, and where it is given it does not.
func TestMarketWarnsWithoutAGenesis(t *testing.T) {
	c, file := marketChain(t)
	b, err := c.Genesis.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	genesis := filepath.Join(t.TempDir(), genesisFile)
	if err := os.WriteFile(genesis, b, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"market", "why", "--user", "seller-1"}, {"market", "cases"}, {"market", "statement", "--member", "seller-1", "--month", "2023-11"}, {"chain", "verify"},
	} {
		for trusted, want := range map[string]bool{"": true, genesis: false} {
			root := &cobra.Command{Use: "aggregator", SilenceErrors: true, SilenceUsage: true}
			root.AddCommand(marketCommand(), chainCommand())
			var warned bytes.Buffer
			root.SetOut(&bytes.Buffer{})
			root.SetErr(&warned)
			root.SetArgs(append(args, "--export", file, "--genesis", trusted))
			if err := root.Execute(); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(warned.String(), "warning: no --genesis given") != want {
				t.Errorf("%v with the genesis %q: %q", args, trusted, warned.String())
			}
		}
	}
}
