// Command agent runs at a generator or household meter: it reads sensors,
// judges hazards, opens and closes the trade gate, and trades for its owner
// over MQTT. docs/agent.md is the owner's manual.
package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"fairwatt/model/nnet"
	"fairwatt/proto/brief"
)

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "agent",
		Short: "Reads sensors, judges hazards, gates and makes trades for one device",
		Long: `agent runs at a generator or household meter. It reads current, voltage and
weather sensors, judges hazards, opens or closes the trade gate, and trades for
its owner over MQTT.

It is a trading interlock, not a protection device: it never replaces a fuse,
a residual-current device, a grid protection relay or a lightning warning.`,
		Args: noArgs,
		RunE: helpOnly,
	}
	root.AddCommand(
		runCommand(), replayCommand(), checkCommand(), recordCommand(), monitorCommand(),
		importCommand(), enrollCommand(), keyCommand(), detectCommand(), tradeCommand(), openCommand(),
		ackCommand(), blockCommand(), unblockCommand(), statusCommand(), ownerKeyCommand(), versionCommand(withNetwork),
	)
	return root
}

// logger writes to stderr; JSON goes to stdout only.
func logger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
}

// formatted writes a log of a running agent in the form that --log-format asks for.
func formatted(w io.Writer, level slog.Level, format string) (*slog.Logger, error) {
	options := &slog.HandlerOptions{Level: level}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return nil, usageError{brief.Errorf("--log-format %q: text or json", format)}
}

// withNetwork adds what is known of the hazard network in this binary.
func withNetwork(b *build) error {
	weights, err := nnet.LiveWeights()
	if err != nil {
		return fmt.Errorf("built-in weights: %w", err)
	}
	file, err := weights.Marshal()
	if err != nil {
		return fmt.Errorf("hash the built-in weights: %w", err)
	}
	b.Network = fmt.Sprintf("%x", sha256.Sum256(file))
	b.Engine = nnet.Engine
	b.Weights = fmt.Sprintf("%s v%d", weights.Name, weights.Version)
	for _, h := range weights.Heads {
		b.Heads = append(b.Heads, h.Name)
	}
	return nil
}

// notBefore is a time that has certainly passed.
func notBefore() time.Time {
	if t := readBuild().Time; !t.IsZero() {
		return t
	}
	return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
}
