// Command firmware-sim runs generators that are not there: sensor boards
// simulated at register level, the whole system on one machine, and scenario
// traces to feed them.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"fairwatt/firmware-sim/scenario"
)

func main() { os.Exit(run()) }

// usageError marks what is wrong with the command line; it exits with 2.
type usageError struct{ error }

// Unwrap returns what is wrong.
func (e usageError) Unwrap() error { return e.error }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := &cobra.Command{
		Use:           "firmware-sim",
		Short:         "Simulated sensor boards, scenario traces, and the whole system on one machine",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(gridCommand(), boardCommand(), scenario.Command())
	markUsage(root)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "firmware-sim:", err)
	var usage usageError
	var flags scenario.UsageError
	if errors.As(err, &usage) || errors.As(err, &flags) {
		return 2
	}
	return 1
}

// markUsage makes what a command does not take as arguments a usageError.
func markUsage(cmd *cobra.Command) {
	if takes := cmd.Args; takes != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := takes(cmd, args); err != nil {
				return usageError{err}
			}
			return nil
		}
	}
	for _, child := range cmd.Commands() {
		markUsage(child)
	}
}
