package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"fairwatt/aggregator/mc"
)

func mcRevokeCommand() *cobra.Command {
	var dir, id string
	cmd := &cobra.Command{
		Use:   "revoke --dir DIR --id ID",
		Short: "Let a holder read and write no more at the broker",
		Long: `Let a holder read and write no more at the broker, whatever certificate it shows: a
device that was stolen, a person who has moved out. Its lines in the list in DIR are
changed; copy that to the broker, or to each of the NATS servers, and have it read again
(SIGHUP). Then NATS ends its connection and lets it in no more, and Mosquitto lets
it in, and neither takes anything from it nor gives it anything.

On the chain mc meter retire takes its meters out of use, without which it trades
nothing; a data aggregator leaves by mc retire.`,
		Example: "  aggregator mc revoke --dir community --id pv-1",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" || id == "" {
				return usagef("--dir and --id are required")
			}
			if err := mc.Revoke(dir, id); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.ErrOrStderr(), "%s lets %s do nothing more: have the broker read it again\n", mc.BrokerList(dir), id)
			return err
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "the community's folder")
	cmd.Flags().StringVar(&id, "id", "", "whose certificate is of no use any more")
	return cmd
}
