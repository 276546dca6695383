package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"fairwatt/agent"
	"fairwatt/agent/view"
	"fairwatt/proto/brief"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

func monitorCommand() *cobra.Command {
	var url, ca, cert, key, site string
	cmd := &cobra.Command{
		Use:   "monitor --mqtt URL",
		Short: "Show gates, hazards and alerts of every agent, live",
		Long: `Shows gate, hazards, alerts and trades of every agent the broker lets you read: a
table on a terminal, one line an event otherwise. A gate whose message has
expired, or whose agent is offline, counts as closed whatever it says; so does
every gate while the broker is not there. It waits for a broker that is away,
and says what it waits for.

With --site it asks for one site alone. NATS refuses a certificate of one site
that asks for more; Mosquitto hands out what it may read.`,
		Example: `  agent monitor --mqtt tcp://127.0.0.1:1883
  agent monitor --mqtt tls://mqtt.example.org:8883 --ca ca.crt --cert tls.crt --key tls.key --site harbour`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if site != "" && !seal.ValidName(site) {
				return usageError{brief.Errorf("monitor: --site %q: use 1 to 64 of a-z, 0-9 and -", site)}
			}
			var why lastWarning
			pipe, err := watchPipe(url, ca, cert, key, slog.New(&why))
			if err != nil {
				return err
			}
			m := &monitor{url: url, site: site, out: cmd.OutOrStdout(), table: isTerminal(cmd.OutOrStdout()), why: &why, fleet: view.NewFleet()}
			return m.run(cmd.Context(), pipe)
		},
	}
	watchFlags(cmd, &url, &ca, &cert, &key)
	cmd.Flags().StringVar(&site, "site", "", "only this site, as with a certificate of one")
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
func watchPipe(url, ca, cert, key string, log *slog.Logger) (mqtt.Pipe, error) {
	if url == "" {
		return nil, usageError{errors.New("--mqtt is missing")}
	}
	config, _, err := tlsOf(agent.TLSConfig{CA: ca, Cert: cert, Key: key}, log)
	if err != nil {
		return nil, err
	}
	pipe, err := mqtt.New(mqtt.Config{URL: url, TLS: config, Logger: log, KeepAlive: 5 * time.Second})
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

// A lastWarning keeps what the connection last complained of.
type lastWarning struct{ text atomic.Pointer[string] }

// Enabled implements slog.Handler.
func (*lastWarning) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// Handle implements slog.Handler.
func (l *lastWarning) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "err" {
			text = a.Value.String()
		}
		return true
	})
	l.text.Store(&text)
	return nil
}

// WithAttrs implements slog.Handler.
func (l *lastWarning) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup implements slog.Handler.
func (l *lastWarning) WithGroup(string) slog.Handler { return l }

// String is the last complaint, or empty.
func (l *lastWarning) String() string {
	if text := l.text.Load(); text != nil {
		return *text
	}
	return ""
}

// A monitor is a run of agent monitor.
type monitor struct {
	url   string
	site  string // or empty: all
	out   io.Writer
	table bool
	why   *lastWarning
	fleet *view.Fleet
	told  string // what it waits for, as last said on a pipe
}

func (w *monitor) run(ctx context.Context, pipe mqtt.Pipe) error {
	messages, up := make(chan mqtt.Message, 256), make(chan struct{}, 1)
	// Not all below a device: a broker may grant a viewer only what it may read.
	for _, class := range wire.DeviceShows {
		filter := wire.EveryDevice(class)
		if w.site != "" { // a broker may refuse a filter that is wider than a right
			filter = wire.Topics{Site: w.site, Device: "+"}.Of(class)
		}
		pipe.Subscribe(filter, func(m mqtt.Message) {
			select {
			case messages <- m:
			case <-ctx.Done():
			}
		})
	}
	pipe.OnUp(func() {
		select {
		case up <- struct{}{}:
		default: // it has not seen the last one yet
		}
	})
	if err := pipe.Open(); err != nil {
		return err
	}
	defer pipe.Close()
	began := time.Now()
	w.fleet.Lose("no connection to the broker", began)
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-up:
			w.why.text.Store(nil)
			err = w.say(w.fleet.Regain(time.Now()))
		case m := <-messages:
			line, bad := w.fleet.Take(m.Topic, m.Payload, m.Retained, time.Now())
			if bad != nil {
				fmt.Fprintln(os.Stderr, "agent: monitor:", bad)
				continue
			}
			err = w.say(line)
		case now := <-ticker.C:
			if lost, _ := w.fleet.Lost(); lost == "" && !pipe.Connected() {
				err = w.say(w.fleet.Lose("no connection to the broker", now))
			}
			err = errors.Join(err, w.draw(now))
		}
		if err != nil {
			return err
		}
	}
}

// say writes a line of news where there is no table.
func (w *monitor) say(line string) error {
	if line == "" || w.table {
		return nil
	}
	_, err := fmt.Fprintln(w.out, line)
	return err
}

// draw draws the table, or says what is waited for when that changes.
func (w *monitor) draw(now time.Time) error {
	waits := w.waits(now)
	if w.table {
		_, err := io.WriteString(w.out, renderFleet(w.fleet, now, w.url, waits))
		return err
	}
	if waits == w.told {
		return nil
	}
	w.told = waits
	if waits == "" {
		return nil
	}
	return w.say(now.Format(time.TimeOnly) + "  " + waits)
}

// waits says what the monitor waits for; empty when it shows something live.
func (w *monitor) waits(now time.Time) string {
	text := ""
	lost, since := w.fleet.Lost()
	switch {
	case lost != "":
		text = "waiting for a broker at " + w.url + " since " + wire.Moment(since, now)
	case len(w.fleet.Devices()) == 0:
		text = "connected, waiting for a message: no agent has one here, or the broker lets you read none"
	default:
		return ""
	}
	if why := w.why.String(); why != "" {
		text += " (" + why + ")"
	}
	return text
}

// maxAlertLines is how many of the last events the table shows.
const maxAlertLines = 12

// renderFleet draws the table: a line an agent, and its causes below.
func renderFleet(fleet *view.Fleet, now time.Time, url, waits string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s%sfairwatt agents on %s   %s%s\n", clearScreen, bold, url, now.Format(time.TimeOnly), reset)
	if waits != "" {
		fmt.Fprintf(&b, "%s%s%s\n", yellow, waits, reset)
	}
	fmt.Fprintf(&b, "\n%s%-24s %-9s %-8s %-20s %s%s\n", bold, "DEVICE", "GATE", "SINCE", "CONTACTOR", "HAZARDS", reset)
	for _, d := range fleet.Devices() {
		seen, color := fleet.Shown(d, now), red
		switch seen.State {
		case wire.GateOpen:
			color = green
		case wire.GateClearing:
			color = yellow
		}
		since, words := d.Since, d.Words(now)
		if seen.Why != "" { // what it said last is no news any more
			since, words = seen.Since, []string{seen.Why + "."}
		}
		lasts := ""
		if !since.IsZero() {
			lasts = now.Sub(since).Round(time.Second).String()
		}
		fmt.Fprintf(&b, "%-24.24s %s%-9s%s %-8s %-20.20s %s\n", d.Name(), color, seen.State, reset, lasts, d.Contactor, d.HazardText())
		for _, line := range words {
			fmt.Fprintf(&b, "    %.160s\n", line)
		}
	}
	b.WriteString("\n")
	events := fleet.Events()
	for _, line := range events[max(0, len(events)-maxAlertLines):] {
		fmt.Fprintf(&b, "%.140s\n", line)
	}
	return b.String()
}
