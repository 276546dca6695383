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
		Short: "Take a holder out of the list of the NATS servers",
		Long: `Take a holder out of broker/nats-users.conf in DIR. Copy the file to the three
servers and have each read it again (SIGHUP): a server ends the connection of one
whom it no longer names, and lets nobody in who is not named, whatever certificate
they show.

With Mosquitto no list names devices: it lets in whom ca.crt vouches for.`,
		Example: "  aggregator mc revoke --dir community --id pv-1",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" || id == "" {
				return usagef("--dir and --id are required")
			}
			if err := mc.Revoke(dir, id); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.ErrOrStderr(), "%s names %s no more: have the servers read it again\n", mc.BrokerList(dir), id)
			return err
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "the community's folder")
	cmd.Flags().StringVar(&id, "id", "", "whose certificate is of no use any more")
	return cmd
}
