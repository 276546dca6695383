// Command firmware-sim runs generators that are not there: sensor boards
// simulated at register level, the whole system on one machine, and scenario
// traces to feed them.
package main

import "github.com/spf13/cobra"

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "firmware-sim",
		Short: "Simulated sensor boards, scenario traces, and the whole system on one machine",
		Args:  noArgs,
		RunE:  helpOnly,
	}
	root.AddCommand(gridCommand(), boardCommand(), scenarioCommand(), versionCommand(nil))
	return root
}
