// Aggregator runs a data aggregator, the management centre, and the tools for
// chains and communication trees.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole program: 0 is success, 1 a failure told in one line, 2 wrong
// usage.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	root := rootCommand()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	started := false
	root.PersistentPreRun = func(*cobra.Command, []string) { started = true }
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintf(errOut, "aggregator: %v\n", err)
	var usage *usageError
	if !started || errors.As(err, &usage) {
		return 2
	}
	return 1
}

// A usageError is a mistake on the command line that only the command itself
// could see.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

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
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          helpOnly,
	}
	root.AddCommand(daCommand(), mcCommand(), chainCommand(), wctCommand(), versionCommand())
	return root
}

// helpOnly is for commands that only have commands below them: the help, and
// wrong usage when an argument is none of them.
func helpOnly(cmd *cobra.Command, _ []string) error { return cmd.Help() }
