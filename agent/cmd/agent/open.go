package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"fairwatt/agent"
)

func openCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "open --config FILE",
		Short: "Open the contactor",
		Long: `Opens the contactor of a configuration and ends. The service's unit calls it
after every end of the agent, because a pin may keep its level when its process
is killed. Without a contactor there is nothing to do.`,
		Example: "  agent open --config /etc/fairwatt/agent.yaml",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if path == "" {
				return usageError{errors.New("open: --config is missing")}
			}
			cfg, err := agent.LoadConfig(path)
			if err != nil {
				return err
			}
			if cfg.Contactor == nil || cfg.Contactor.None {
				fmt.Fprintln(cmd.OutOrStdout(), "no contactor")
				return nil
			}
			cfg.Sensors = nil // they are not needed, and may be broken
			hw, err := openHardware(cmd.Context(), cfg, unheard())
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, hw.close.Close()) }()
			if err := hw.openContactor(cfg); err != nil { // setting it up opens it
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "contactor on %s opened\n", cfg.Contactor)
			return nil
		},
	}
	cmd.Flags().StringVar(&path, "config", "", "configuration file (required)")
	return cmd
}
