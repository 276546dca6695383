package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"fairwatt/aggregator/ledger"
)

func marketCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "market",
		Short: "Ask a chain about credit, fines and money, and decide cases",
		Long: `Ask a chain about credit, fines and money, and decide cases.

why, statement and reconcile replay and verify a chain, from an export or a data aggregator's
folder, and say what they found with height and record. verdict and grant are the
arbiters'. compare asks no chain: it says what other ways of dividing energy would bring.`,
		Example: "  aggregator market why --export chain.jsonl --user pv-1",
		Args:    noArgs,
		RunE:    helpOnly,
	}
	cmd.AddCommand(marketWhyCommand(), marketStatementCommand(), marketReconcileCommand(), marketCompareCommand(), marketTermsCommand(), marketCasesCommand(), marketVerdictCommand(), marketGrantCommand(), marketApproveCommand(), marketKeyCommand())
	return cmd
}

// recordOf names the record that did something in a block; empty when the block's time
// did it.
func recordOf(st *ledger.Staged, index int) string {
	if ids := st.RecordIDs(); index >= 0 && index < len(ids) {
		return fmt.Sprintf("%x", ids[index])
	}
	return ""
}
