package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fairwatt/agent"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/wire"
)

func monitorCommand() *cobra.Command {
	var url, ca, cert, key string
	cmd := &cobra.Command{
		Use:   "monitor --mqtt URL",
		Short: "Show gates, hazards and alerts of every agent, live",
		Long: `Shows gate, hazards, alerts and trades of every agent the broker lets you read: a
table on a terminal, one line an event otherwise. A gate whose message has
expired, or whose agent is offline, counts as closed whatever it says.`,
		Example: "  agent monitor --mqtt tcp://127.0.0.1:1883",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			pipe, err := watchPipe(url, ca, cert, key)
			if err != nil {
				return err
			}
			return monitor(cmd.Context(), pipe, url, cmd.OutOrStdout())
		},
	}
	watchFlags(cmd, &url, &ca, &cert, &key)
	return cmd
}

// watchFlags are those of the commands that only read a broker.
func watchFlags(cmd *cobra.Command, url, ca, cert, key *string) {
	cmd.Flags().StringVar(url, "mqtt", "", "broker, tcp://host:port or tls://host:port (required)")
	cmd.Flags().StringVar(ca, "ca", "", "certificate authority of a tls:// broker")
	cmd.Flags().StringVar(cert, "cert", "", "client certificate")
	cmd.Flags().StringVar(key, "key", "", "key of the client certificate")
}

// watchPipe prepares a connection without client id or will.
func watchPipe(url, ca, cert, key string) (mqtt.Pipe, error) {
	if url == "" {
		return nil, usageError{errors.New("--mqtt is missing")}
	}
	config, err := tlsOf(&agent.Config{TLS: agent.TLSConfig{CA: ca, Cert: cert, Key: key}})
	if err != nil {
		return nil, err
	}
	pipe, err := mqtt.New(mqtt.Config{URL: url, TLS: config, Logger: logger(slog.LevelError)})
	if err != nil {
		return nil, usageError{err}
	}
	return pipe, nil
}

// isTerminal says whether w is a terminal that shows escape sequences.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" || os.Getenv("TERM") == "" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Escape sequences of the table.
const (
	clearScreen = "\x1b[H\x1b[2J"
	bold        = "\x1b[1m"
	red         = "\x1b[31m"
	green       = "\x1b[32m"
	yellow      = "\x1b[33m"
	reset       = "\x1b[0m"
)

func monitor(ctx context.Context, pipe mqtt.Pipe, url string, out io.Writer) error {
	messages := make(chan mqtt.Message, 256)
	pipe.Subscribe(wire.EveryDevice("#"), func(m mqtt.Message) {
		select {
		case messages <- m:
		case <-ctx.Done():
		}
	})
	if err := awaitBroker(ctx, pipe, url); err != nil {
		return err
	}
	defer pipe.Close()
	fleet := agent.NewFleet()
	table := isTerminal(out)
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case m := <-messages:
			line, err := fleet.Take(m.Topic, m.Payload, time.Now())
			if err != nil {
				fmt.Fprintln(os.Stderr, "agent: monitor:", err)
				continue
			}
			if line != "" && !table {
				if _, err := fmt.Fprintln(out, line); err != nil {
					return err
				}
			}
		case now := <-ticker.C:
			if table {
				if _, err := io.WriteString(out, renderFleet(fleet, now, url)); err != nil {
					return err
				}
			}
		}
	}
}

// maxAlertLines is how many of the last events the table shows.
const maxAlertLines = 12

// renderFleet draws the table.
func renderFleet(fleet *agent.Fleet, now time.Time, url string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s%sfairwatt agents on %s   %s%s\n\n", clearScreen, bold, url, now.Format(time.TimeOnly), reset)
	fmt.Fprintf(&b, "%s%-24s %-9s %-8s %-28s %s%s\n", bold, "DEVICE", "GATE", "SINCE", "HAZARDS", "WHY", reset)
	for _, d := range fleet.Devices() {
		state, color := d.Shown(now), red
		switch state {
		case wire.GateOpen:
			color = green
		case wire.GateClearing:
			color = yellow
		}
		since := ""
		if !d.Since.IsZero() {
			since = now.Sub(d.Since).Round(time.Second).String()
		}
		fmt.Fprintf(&b, "%-24.24s %s%-9s%s %-8s %-28.28s %.100s\n", d.Name(), color, state, reset, since, d.HazardText(), d.Why)
	}
	b.WriteString("\n")
	events := fleet.Events()
	for _, line := range events[max(0, len(events)-maxAlertLines):] {
		fmt.Fprintf(&b, "%.140s\n", line)
	}
	return b.String()
}
