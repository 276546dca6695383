// Aggregator runs a data aggregator, the management centre, and the tools for
// chains and communication trees.
package main

import "github.com/spf13/cobra"

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "aggregator",
		Short: "Data aggregator and management centre of fairwatt",
		Long: `Data aggregator and management centre of fairwatt.

Data aggregators take signed records from MQTT, agree on blocks, store them and
answer with receipts. The management centre admits participants, credits
wallets and answers requests for power.`,
		Example: `  aggregator mc init --dir community
  aggregator da --config community/da-1/da.yaml
  aggregator chain verify --data community/da-1/data --genesis community/genesis.json`,
		Args: noArgs,
		RunE: helpOnly,
	}
	root.PersistentFlags().String("log-format", "text", "form of the log on stderr: text or json")
	root.AddCommand(daCommand(), mcCommand(), chainCommand(), marketCommand(), treeCommand(), wctCommand(), bundleCommand(), versionCommand(nil))
	return root
}
