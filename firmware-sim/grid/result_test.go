package grid

import (
	"encoding/json"
	"strings"
	"testing"

	"fairwatt/aggregator/ledger"
)

// A bill stands if it is no more than what left the seller and as near to what
// reached the buyer as loss and the meters' class allow; one pulse is cut off at
// either end.
func TestEnergyProblems(t *testing.T) {
	p := ledger.DefaultParams() // registers of 1 Wh; both meters have 1 %
	p.LossE4 = 300
	for _, c := range []struct {
		billed         int64
		sold, received float64
		counted        int64
		left, reached  bool // what is wrong
	}{
		{1000, 1000, 980, 1000, false, false},
		{1000, 999, 980, 1000, false, false}, // the pulse that was cut off
		{1000, 998.9, 980, 1000, true, false},
		{1000, 1000, 948, 1000, false, false}, // 5 % and two register steps
		{1000, 1000, 947.9, 1000, false, true},
		{1000, 1100, 1052, 1000, false, false},
		{1000, 1100, 1052.1, 1000, false, true},
		{0, 0, 2, 0, false, false},
		{1000, 0, 0, 1000, true, true},
	} {
		got := strings.Join(energyProblems(c.billed, c.sold, c.received, c.counted, p), "; ")
		if strings.Contains(got, "left the seller") != c.left || strings.Contains(got, "reached the buyer") != c.reached {
			t.Errorf("billed %d, sold %g, received %g: %q", c.billed, c.sold, c.received, got)
		}
	}
}

// A bill is no lower than the seller's own register, but for a pulse.
func TestBillBelowItsRegister(t *testing.T) {
	p := ledger.DefaultParams()
	for counted, good := range map[int64]bool{1000: true, 1001: true, 1002: false, 0: true} {
		problems := energyProblems(1000, 1000, 980, counted, p)
		if (len(problems) == 0) != good || !good && !strings.Contains(problems[0], "register counted 1002 Wh") {
			t.Errorf("counted %d: %q", counted, problems)
		}
	}
	for sold, good := range map[float64]bool{0: true, 1: true, 1.1: false} {
		if (len(unbilledProblems(sold)) == 0) != good {
			t.Errorf("%g Wh without a bill: %q", sold, unbilledProblems(sold))
		}
	}
}

// All money was deposited at the start, and all of it is in wallets, escrows and the
// fund.
func TestMoneyProblem(t *testing.T) {
	for _, c := range []struct {
		deposited, wallets, escrow, fund int64
		good                             bool
	}{
		{100, 60, 40, 0, true}, {100, 100, 0, 0, true}, {100, 60, 39, 0, false}, {100, 60, 41, 0, false},
		{99, 60, 40, 0, false}, {101, 61, 40, 0, false}, {100, 60, 30, 10, true}, {100, 60, 40, 1, false},
	} {
		what := moneyProblem(ledger.Totals{DepositedMicro: c.deposited, WalletsMicro: c.wallets, EscrowMicro: c.escrow, FundMicro: c.fund}, 100)
		if (what == "") != c.good {
			t.Errorf("%+v: %q", c, what)
		}
	}
}

// A broken promise is false from then on and says why, up to a number of whys.
func TestReportNotesProblems(t *testing.T) {
	r := &Report{MoneyConserved: true, EnergyConserved: true}
	for i := range 30 {
		r.problem(&r.EnergyConserved, "trade %d", i)
	}
	if r.EnergyConserved || !r.MoneyConserved || len(r.Problems) != 20 || r.Problems[19] != "trade 19" {
		t.Errorf("energy %v, money %v: %q", r.EnergyConserved, r.MoneyConserved, r.Problems)
	}
}

// Scripts read these keys of the report.
func TestReportKeys(t *testing.T) {
	b, err := (&Report{AccountingNodes: map[string]uint64{}, Alerts: map[string]int{}}).JSON()
	if err != nil {
		t.Fatal(err)
	}
	var report map[string]any
	if err := json.Unmarshal(b, &report); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{
		"das", "agents", "height", "records", "alerts", "gate_closed_s", "contactor_violations", "accounting_nodes", "epochs", "view_changes", "dropped",
		"trades.requested", "trades.settled", "trades.held_by_hazard", "trades.settled_partly", "trades.refunded", "trades.disputed",
		"trades.failed", "trades.open", "relay.forwarded", "relay.pulled", "atct_ms.p50", "atct_ms.p95", "atct_ms.p99",
		"money_conserved", "energy_conserved", "chain_verified", "simulated",
	} {
		at, name := report, path
		if outer, inner, nested := strings.Cut(path, "."); nested {
			at, name = report[outer].(map[string]any), inner
		}
		if _, there := at[name]; !there {
			t.Errorf("the report has no %s", path)
		}
	}
	if !strings.HasSuffix(string(b), "}\n") {
		t.Error("the report does not end with a line's end")
	}
}
