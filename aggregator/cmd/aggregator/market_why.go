package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"fairwatt/aggregator/ledger"
)

// A why is what a chain says about one participant's credit.
type why struct {
	User           string    `json:"user"`
	Chain          string    `json:"chain"`
	Height         uint64    `json:"height"`
	Credit         string    `json:"credit"` // robust, paper
	CreditE6       int64     `json:"credit_e6"`
	Kept           uint64    `json:"kept"`
	Broken         uint64    `json:"broken"`
	GoodWh         int64     `json:"good_wh"`
	BadWh          int64     `json:"bad_wh"`
	BondMicro      int64     `json:"bond_micro"`
	ExposureMicro  int64     `json:"exposure_micro"`
	LimitMicro     int64     `json:"limit_micro"` // of the exposure; -1 where there is none
	VouchesWh      int64     `json:"vouches_wh"`  // for others, in this period
	FinesDueMicro  int64     `json:"fines_due_micro"`
	Blacklisted    bool      `json:"blacklisted"`
	ListedUntilMs  int64     `json:"listed_until_ms"` // 0: is on no list, or for ever
	Standing       string    `json:"standing"`        // active, suspended, revoked
	StandingHeight uint64    `json:"standing_height"` // since which block; 0: since the beginning
	StandingReason string    `json:"standing_reason"`
	KeyHeight      uint64    `json:"key_height"` // block that changed its key; 0: none did
	Steps          []whyStep `json:"steps"`
	creditIsRobust bool
}

// A whyStep is one thing that happened, with where the chain has it.
type whyStep struct {
	Height      uint64 `json:"height"`
	TimeMs      int64  `json:"time_ms"`
	Record      string `json:"record"` // id; empty when the block's time did it
	Kind        string `json:"kind"`
	Trade       string `json:"trade,omitempty"`
	Other       string `json:"other,omitempty"`
	GoodWh      int64  `json:"good_wh,omitempty"`
	BadWh       int64  `json:"bad_wh,omitempty"`
	CreditE6    int64  `json:"credit_e6,omitempty"`
	AmountMicro int64  `json:"amount_micro,omitempty"`
	DueMicro    int64  `json:"due_micro,omitempty"`
	UntilMs     int64  `json:"until_ms,omitempty"`
	GateSeq     uint64 `json:"gate_seq,omitempty"` // of an excuse: the gate change of it
	Text        string `json:"text,omitempty"`
}

func marketWhyCommand() *cobra.Command {
	var source chainSource
	var user string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "why --user ID [--genesis FILE] (--export FILE|- | --data DIR)",
		Short: "Say why a participant has the credit that it has",
		Long: `Say why a participant has the credit that it has: replay and verify the chain, and
print every step of its credit, bond, fines, cases and listings, each with the
height and the record that did it. Where block time did it there is no record.`,
		Example: `  aggregator market why --data community/da-1/data --user pv-1
  aggregator market why --export chain.jsonl --user pv-1 --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if user == "" {
				return usagef("--user ID is required")
			}
			w, err := source.why(cmd, user)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(w)
			}
			return w.print(cmd.OutOrStdout())
		},
	}
	source.add(cmd)
	cmd.Flags().StringVar(&user, "user", "", "id of the participant")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (c *chainSource) why(cmd *cobra.Command, user string) (*why, error) {
	w := &why{User: user, Steps: []whyStep{}}
	causes := make(map[uint64]string) // of the participant's gate changes
	state, err := c.replay(cmd, func(_ *ledger.State, st *ledger.Staged) error {
		for _, r := range st.Records() {
			if c := r.Record.GetGateChange(); c != nil && r.Record.GetSender() == user && len(c.GetCauses()) > 0 {
				causes[c.GetGateSeq()] = c.GetCauses()[0].GetRule() + " " + c.GetCauses()[0].GetText()
			}
		}
		for _, s := range st.Steps() {
			if cause := causes[s.GateSeq]; s.Kind == ledger.StepExcused && cause != "" {
				s.Text += ": " + cause
			}
			if s.Who == user {
				w.Steps = append(w.Steps, whyStep{
					Height: st.Header().GetHeight(), TimeMs: st.Header().GetTimeMs(), Record: recordOf(st, s.Index), Kind: s.Kind, Trade: s.Trade,
					Other: s.Other, GoodWh: s.GoodWh, BadWh: s.BadWh, CreditE6: s.CreditE6, AmountMicro: s.AmountMicro, DueMicro: s.DueMicro,
					UntilMs: s.UntilMs, GateSeq: s.GateSeq, Text: s.Text,
				})
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	a, limit, ok := state.AccountAt(user, state.TimeMs())
	if !ok {
		return nil, fmt.Errorf("the chain has no participant %.60q with an account", user)
	}
	p := state.Genesis().Params
	w.creditIsRobust = p.Credit == ledger.CreditRobust
	w.Credit = ledger.CreditPaper
	if w.creditIsRobust {
		w.Credit, w.VouchesWh = p.Credit, max(0, p.VouchBudgetWh(&a)-a.VouchedWh)
	}
	w.Chain, w.Height, w.CreditE6, w.Kept, w.Broken = fmt.Sprintf("%x", state.ChainID()), state.Height(), a.CreditE6, a.Kept, a.Broken
	w.GoodWh, w.BadWh, w.BondMicro, w.ExposureMicro, w.LimitMicro = a.GoodWh, a.BadWh, a.BondMicro, a.ExposureMicro, limit
	w.FinesDueMicro, w.Blacklisted = a.FinesDueMicro, a.Blacklisted
	if a.Blacklisted {
		w.ListedUntilMs = a.ListedUntilMs
	}
	who, _ := state.Participant(user)
	w.Standing, w.StandingHeight, w.StandingReason, w.KeyHeight = who.Standing.String(), who.StandingAt, who.Reason, who.KeyHeight
	return w, nil
}

func (w *why) print(out io.Writer) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "user\t%s\nheight\t%d\nstanding\t%s\n", w.User, w.Height, standingLine(w.Standing, w.StandingHeight, w.StandingReason))
	if w.KeyHeight > 0 {
		fmt.Fprintf(t, "key\tchanged in block %d\n", w.KeyHeight)
	}
	fmt.Fprintf(t, "credit\t%s (%s), %d promises kept, %d broken\n", money(w.CreditE6), w.Credit, w.Kept, w.Broken)
	if w.creditIsRobust {
		fmt.Fprintf(t, "energy\t%d Wh kept, %d Wh broken, weighted\n", w.GoodWh, w.BadWh)
		fmt.Fprintf(t, "bond\t%s; %s promised of at most %s; vouches for %d Wh more in this period\n", money(w.BondMicro), money(w.ExposureMicro), money(w.LimitMicro), w.VouchesWh)
		if w.FinesDueMicro > 0 {
			fmt.Fprintf(t, "owes\t%s in fines: no trade until they are deposited\n", money(w.FinesDueMicro))
		}
	}
	switch {
	case w.Blacklisted && w.ListedUntilMs > 0:
		fmt.Fprintf(t, "listed\tmay not trade until %s\n", localTime(w.ListedUntilMs))
	case w.Blacklisted:
		fmt.Fprintf(t, "listed\tmay not trade\n")
	}
	fmt.Fprintf(t, "\nHEIGHT\tTIME\tRECORD\tWHAT\n")
	for _, s := range w.Steps {
		record := "block time"
		if s.Record != "" {
			record = s.Record[:16]
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\n", s.Height, localTime(s.TimeMs), record, s.sentence())
	}
	return t.Flush()
}

// standingLine says a member's standing for people.
func standingLine(standing string, height uint64, reason string) string {
	if height > 0 {
		standing += fmt.Sprintf(" since block %d", height)
	}
	if reason != "" {
		standing += ": " + reason
	}
	return standing
}

// sentence says a step for people.
func (s *whyStep) sentence() string {
	text := map[string]func() string{
		ledger.StepKept: func() string { return "kept a promise" },
		ledger.StepBroke: func() string {
			if s.BadWh > 0 {
				return fmt.Sprintf("broke a promise, %d Wh weighted", s.BadWh)
			}
			return "broke a promise"
		},
		ledger.StepExcused:  func() string { return "was excused" },
		ledger.StepForgot:   func() string { return fmt.Sprintf("%d Wh good and %d Wh bad were forgotten", -s.GoodWh, -s.BadWh) },
		ledger.StepFined:    func() string { return "paid " + money(s.AmountMicro) + " to " + s.Other },
		ledger.StepMadeGood: func() string { return "was paid " + money(s.AmountMicro) },
		ledger.StepCharged:  func() string { return "was charged " + money(s.AmountMicro) + ", held in the fund" },
		ledger.StepReturned: func() string { return "has its charge of " + money(s.AmountMicro) + " back" },
		ledger.StepRestored: func() string {
			return fmt.Sprintf("has its credit back: the promise does not count as broken, %d Wh weighted are taken back", -s.BadWh)
		},
		ledger.StepListed: func() string {
			if s.UntilMs == 0 {
				return "came onto the list"
			}
			return "came onto the list until " + localTime(s.UntilMs)
		},
		ledger.StepBack:   func() string { return "is off the list" },
		ledger.StepBonded: func() string { return "bonded " + money(s.AmountMicro) },
		ledger.StepUnbonded: func() string {
			return "asked back " + money(s.AmountMicro) + " of its bond, for " + localTime(s.UntilMs)
		},
		ledger.StepLeft:    func() string { return money(s.AmountMicro) + " of its bond are in its wallet" },
		ledger.StepDuePaid: func() string { return "paid " + money(s.AmountMicro) + " of the fines that it owed" },
		ledger.StepCase:    func() string { return "a case is open until " + localTime(s.UntilMs) },
		ledger.StepFound:   func() string { return "a verdict" },
		ledger.StepClosed:  func() string { return "the case is closed; " + money(s.AmountMicro) + " stay in the fund" },
		ledger.StepGranted: func() string { return "was granted " + money(s.AmountMicro) },
		ledger.StepCleared: func() string { return "traded with " + s.Other + " in a slot, for " + money(s.AmountMicro) },
		ledger.StepLeftOut: func() string { return "took no part in a slot" },
		ledger.StepChose:   func() string { return "chose " + s.Other + " and paid " + money(s.AmountMicro) + " into escrow" },

		ledger.StepKeyChanged: func() string { return "has another key" },
		ledger.StepRevoked:    func() string { return "has no key any more: it was revoked" },
		ledger.StepSuspended:  func() string { return "is suspended" },
		ledger.StepReinstated: func() string { return "takes part again" },
		ledger.StepChanged:    func() string { return "is registered otherwise: its roles, its site, its payee or its recovery key" },
	}[s.Kind]
	out := s.Kind
	if text != nil {
		out = text()
	}
	if s.Trade != "" {
		out += ", trade " + s.Trade
	}
	if s.Kind == ledger.StepKept && s.Other != "" {
		out += fmt.Sprintf(": %d Wh, vouched for by %s", s.GoodWh, s.Other)
	}
	if s.Text != "" {
		out += ": " + s.Text
	}
	if s.DueMicro > 0 {
		out += "; owes " + money(s.DueMicro) + " more"
	}
	if s.CreditE6 != 0 {
		out += " (credit " + money(s.CreditE6) + ")"
	}
	return out
}
