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

// This file is the same, byte for byte, in the four programs, so that they all
// end in the same way and say the same words. A test of firmware-sim compares
// the copies. A package of their own would be more than these lines are worth.

func main() { os.Exit(program()) }

// program runs this process's command line. SIGINT and SIGTERM end it early.
func program() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
}

// run is the whole program but for the process: 0 is success, 1 a failure, 2
// wrong usage. A failure and wrong usage print one line on errOut.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	root := rootCommand()
	root.Version = readBuild().Version // gives --version
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	root.SilenceErrors, root.SilenceUsage = true, true
	// What fails before any command starts is the command line: cobra refused a
	// flag, an argument or a command.
	started := false
	root.PersistentPreRun = func(*cobra.Command, []string) { started = true }
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintf(errOut, "%s: %v\n", root.Name(), err)
	var usage usageError
	if !started || errors.As(err, &usage) {
		return 2
	}
	return 1
}

// A usageError is a mistake on the command line that only the command itself
// can see.
type usageError struct{ error }

// Unwrap returns the mistake.
func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// noArgs refuses arguments. Commands that only hold other commands have it too:
// a word that none of those is called ends there.
func noArgs(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case cmd.HasSubCommands():
		return usagef("unknown command %q; see %s --help", args[0], cmd.CommandPath())
	}
	return usagef("unexpected argument %q; see %s --help", args[0], cmd.CommandPath())
}

// helpOnly is what a command does that only holds other commands.
func helpOnly(cmd *cobra.Command, _ []string) error { return cmd.Help() }
