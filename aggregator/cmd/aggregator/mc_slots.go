package main

import (
	"time"

	"github.com/spf13/cobra"

	"fairwatt/aggregator/ledger"
)

// slotFlags say how buyers and sellers find each other on a new chain.
type slotFlags struct {
	mechanism               string
	slot, closure, readings time.Duration
}

func (s *slotFlags) add(cmd *cobra.Command) {
	usual := ledger.DefaultParams().WithMechanism(ledger.MechanismAuction)
	f := cmd.Flags()
	f.StringVar(&s.mechanism, "mechanism", ledger.MechanismBilateral, "how buyers and sellers find each other: bilateral (a buyer pays a seller's offer) or auction (that, and one price for all in each slot)")
	f.DurationVar(&s.slot, "slot-time", time.Duration(usual.SlotMs)*time.Millisecond, "how long a slot lasts, with --mechanism auction")
	f.DurationVar(&s.closure, "gate-closure", time.Duration(usual.GateClosureMs)*time.Millisecond, "how long before a slot its orders are matched, with --mechanism auction")
	f.DurationVar(&s.readings, "slot-readings", time.Duration(usual.SlotReadingsMs)*time.Millisecond, "how long after a slot the meters' readings are waited for, with --mechanism auction")
}

// apply takes the flags over into the rules of a new chain.
func (s *slotFlags) apply(cmd *cobra.Command, params *ledger.Params) error {
	switch s.mechanism {
	case ledger.MechanismBilateral:
		for _, name := range []string{"slot-time", "gate-closure", "slot-readings"} {
			if cmd.Flags().Changed(name) {
				return usagef("--%s needs --mechanism %s", name, ledger.MechanismAuction)
			}
		}
		return nil
	case ledger.MechanismAuction:
	default:
		return usagef("--mechanism %.60q: %s or %s", s.mechanism, ledger.MechanismBilateral, ledger.MechanismAuction)
	}
	if params.Settlement != ledger.SettleByMeters || params.Credit != ledger.CreditRobust {
		return usagef("--mechanism %s needs --settlement %s and --credit %s", ledger.MechanismAuction, ledger.SettleByMeters, ledger.CreditRobust)
	}
	with := params.WithMechanism(ledger.MechanismAuction)
	with.SlotMs, with.GateClosureMs, with.SlotReadingsMs = s.slot.Milliseconds(), s.closure.Milliseconds(), s.readings.Milliseconds()
	if err := with.Validate(); err != nil {
		return usagef("--mechanism %s: %w", ledger.MechanismAuction, err)
	}
	*params = with
	return nil
}
