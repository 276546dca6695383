// Command firmware-sim simulates generators: it serves sensor boards simulated at
// register level, runs the whole system on one machine, and writes scenario
// traces that feed both.
package main

import "github.com/spf13/cobra"

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "firmware-sim",
		Short: "Simulated sensor boards, scenario traces, and the whole system on one machine",
		Args:  noArgs,
		RunE:  helpOnly,
	}
	root.AddCommand(gridCommand(), soakCommand(), soakMemberCommand(), boardCommand(), modbusCommand(), scenarioCommand(), versionCommand(nil))
	return root
}
