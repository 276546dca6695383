// Command agent runs at a generator or household meter: it reads sensors,
// judges hazards, opens and closes the trade gate, and trades for its owner
// over MQTT. docs/agent.md is the owner's manual.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() { os.Exit(run()) }

// usageError marks what is wrong with the command line; it exits with 2.
type usageError struct{ error }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := rootCommand().ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "agent:", err)
	var usage usageError
	if errors.As(err, &usage) {
		return 2
	}
	return 1
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "agent",
		Short: "Reads sensors, judges hazards, gates and makes trades for one device",
		Long: `agent runs at a generator or household meter. It reads current, voltage and
weather sensors, judges hazards, opens or closes the trade gate, and trades for
its owner over MQTT.

It is a trading interlock, not a protection device: it never replaces a fuse,
a residual-current device, a grid protection relay or a lightning warning.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(
		runCommand(), replayCommand(), checkCommand(), recordCommand(), monitorCommand(),
		importCommand(), enrollCommand(), tradeCommand(), versionCommand(),
	)
	return root
}

// noArgs refuses arguments as wrong usage.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("%s: unknown command or argument %q", cmd.CommandPath(), args[0])}
	}
	return nil
}

// logger writes to stderr; JSON goes to stdout only.
func logger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
}
