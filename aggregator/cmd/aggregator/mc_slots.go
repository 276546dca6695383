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
	f.StringVar(&s.mechanism, "mechanism", ledger.MechanismBilateral, "how buyers and sellers find each other: bilateral (a buyer pays a seller's offer), auction (that, and one price for all in each slot) or sharing (that, and what is produced in a slot is divided by fixed parts, see mc share)")
	f.DurationVar(&s.slot, "slot-time", time.Duration(usual.SlotMs)*time.Millisecond, "how long a slot lasts, with --mechanism auction or sharing")
	f.DurationVar(&s.closure, "gate-closure", time.Duration(usual.GateClosureMs)*time.Millisecond, "how long before a slot it takes no more orders, with --mechanism auction or sharing")
	f.DurationVar(&s.readings, "slot-readings", time.Duration(usual.SlotReadingsMs)*time.Millisecond, "how long after a slot the meters' readings are waited for, with --mechanism auction or sharing")
}

// apply takes the flags over into the rules of a new chain.
func (s *slotFlags) apply(cmd *cobra.Command, params *ledger.Params) error {
	switch s.mechanism {
	case ledger.MechanismBilateral:
		for _, name := range []string{"slot-time", "gate-closure", "slot-readings"} {
			if cmd.Flags().Changed(name) {
				return usagef("--%s needs --mechanism %s or %s", name, ledger.MechanismAuction, ledger.MechanismSharing)
			}
		}
		return nil
	case ledger.MechanismAuction, ledger.MechanismSharing:
	default:
		return usagef("--mechanism %.60q: %s, %s or %s", s.mechanism, ledger.MechanismBilateral, ledger.MechanismAuction, ledger.MechanismSharing)
	}
	if params.Settlement != ledger.SettleByMeters || params.Credit != ledger.CreditRobust {
		return usagef("--mechanism %s needs --settlement %s and --credit %s", s.mechanism, ledger.SettleByMeters, ledger.CreditRobust)
	}
	with := params.WithMechanism(s.mechanism)
	with.SlotMs, with.GateClosureMs, with.SlotReadingsMs = s.slot.Milliseconds(), s.closure.Milliseconds(), s.readings.Milliseconds()
	if err := with.Validate(); err != nil {
		return usagef("--mechanism %s: %w", s.mechanism, err)
	}
	*params = with
	return nil
}
