package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fairwatt/agent"
	"fairwatt/agent/socket"
	"fairwatt/agent/word"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// defaultConfig is the service's.
const defaultConfig = "/etc/fairwatt/agent.yaml"

// answerTimeout bounds the wait for what became of a word.
const answerTimeout = 20 * time.Second

// openDoor answers on the socket in the data directory. An agent whose socket cannot
// be had runs all the same: its gate does not depend on it.
func openDoor(ctx context.Context, dir string, a *agent.Agent, log *slog.Logger) (closeDoor func() error) {
	door, err := socket.Listen(dir, log)
	if err != nil {
		log.Error("no one can speak to the agent on this machine", "err", err)
		return func() error { return nil }
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		done <- door.Serve(ctx, func(ctx context.Context, line []byte) wire.Result {
			ctx, cancel := context.WithTimeout(ctx, answerTimeout*3/4)
			defer cancel()
			return a.Ask(ctx, line)
		})
	}()
	return func() error {
		cancel()
		return errors.Join(door.Close(), <-done)
	}
}

// A saying is one of the commands with which a person speaks to an agent.
type saying struct {
	command                      wire.Command
	config, until                string
	url, ca, cert, key           string
	device, ownerKey             string
	asJSON                       bool
	cmd                          *cobra.Command
	needsRule, needsUntil, blank bool
	print                        func(out io.Writer, r *wire.Result) error // nil: its text
}

func (s *saying) flags(cmd *cobra.Command) *cobra.Command {
	s.cmd = cmd
	cmd.Args = noArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return s.run(cmd.Context(), cmd.OutOrStdout()) }
	f := cmd.Flags()
	f.StringVar(&s.config, "config", "", "configuration of the agent on this machine (default "+defaultConfig+")")
	f.BoolVar(&s.asJSON, "json", false, "print the result as JSON")
	if s.blank {
		return cmd
	}
	f.StringVar(&s.command.By, "by", "", "who speaks (required; over MQTT the owner's name if left out)")
	f.StringVar(&s.command.Why, "why", "", "the reason")
	watchFlags(cmd, &s.url, &s.ca, &s.cert, &s.key)
	f.Lookup("mqtt").Usage = "speak over this broker instead, tcp://host:port or tls://host:port"
	f.StringVar(&s.device, "device", "", "over MQTT: whom to speak to, site/device")
	f.StringVar(&s.ownerKey, "owner-key", "", "over MQTT: the owner's key file (agent owner-key makes one)")
	if s.needsRule {
		f.StringVar(&s.command.Rule, "rule", "", "which rule, as the gate's causes name it (required)")
	}
	if s.needsUntil {
		f.StringVar(&s.until, "until", "", "RFC 3339 (2026-01-31T18:00:00Z), or for how long (90m, 2h) (required)")
	}
	return cmd
}

func ackCommand() *cobra.Command {
	s := &saying{command: wire.Command{Do: "ack"}, needsRule: true}
	return s.flags(&cobra.Command{
		Use:   "ack --rule RULE --by NAME",
		Short: "Acknowledge a latched rule",
		Long: `Acknowledges a rule that keeps the gate closed although its condition is over
("waits for acknowledgement"). Look at the plant first. While the condition still
stands the command is refused and says what stands. The gate opens when every
other cause is over and every clear time has run.

Who did it, when and why is told as an event and stands on the chain.

It speaks to the agent on this machine, over the socket agent.sock in its data
directory: be the agent's user, or root. With --mqtt it speaks to an agent
anywhere, signed with an owner's key that the agent's configuration names.`,
		Example: `  agent ack --rule E12 --by "Ada Lovelace" --why "string 2 was wired wrong"
  agent ack --rule E12 --by Ada --config /etc/fairwatt/agent.yaml --json
  agent ack --rule E12 --mqtt tls://broker:8883 --ca ca.crt --cert tls.crt --key tls.key \
      --device harbour/pv-1 --owner-key ada.key`,
	})
}

func blockCommand() *cobra.Command {
	s := &saying{command: wire.Command{Do: "block"}, needsUntil: true}
	return s.flags(&cobra.Command{
		Use:   "block --by NAME --until TIME --why TEXT",
		Short: "Close the gate until a time",
		Long: `Closes the gate at once, for whatever reason, as rule B01 until TIME. It is kept
over a restart. TIME is the clock's: while the machine's clock is not synchronised
the block stays. A longer block replaces a shorter one; agent unblock takes it back.`,
		Example: `  agent block --by Ada --until 2h --why "cleaning the modules"
  agent block --by Ada --until 2026-01-31T18:00:00+01:00 --why "work on the roof"
  agent block --by Ada --until 2h --why "smoke" --mqtt tcp://broker:1883 --device harbour/pv-1 --owner-key ada.key`,
	})
}

func unblockCommand() *cobra.Command {
	s := &saying{command: wire.Command{Do: "unblock"}}
	return s.flags(&cobra.Command{
		Use:   "unblock --by NAME",
		Short: "Take a block back",
		Long: `Takes back what agent block asked for, whoever did. The gate opens when no other
cause stands and every clear time has run.`,
		Example: `  agent unblock --by Ada
  agent unblock --mqtt tcp://broker:1883 --device harbour/pv-1 --owner-key ada.key`,
	})
}

func statusCommand() *cobra.Command {
	s := &saying{command: wire.Command{Do: word.DoStatus}, blank: true}
	return s.flags(&cobra.Command{
		Use:     "status",
		Short:   "Say what the gate of the agent on this machine is, and why",
		Long:    "Asks the agent that runs on this machine, over the socket agent.sock in its data directory.",
		Example: "  agent status --config /etc/fairwatt/agent.yaml",
	})
}

// run says the word and prints what became of it.
func (s *saying) run(ctx context.Context, out io.Writer) error {
	s.command.Schema = wire.SchemaCommand
	if s.url == "" && (s.device != "" || s.ownerKey != "" || s.ca != "" || s.cert != "" || s.key != "") {
		return usagef("%s: --mqtt is missing; the other flags of MQTT do nothing without it", s.cmd.Name())
	}
	if s.url != "" && s.config != "" {
		return usagef("%s: --config is for the agent on this machine, --mqtt for one elsewhere; use one of them", s.cmd.Name())
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	say := s.sayHere
	if s.url != "" {
		say = s.sayOverMQTT
	}
	r, err := say(ctx)
	if err != nil {
		return err
	}
	if s.asJSON {
		err = json.NewEncoder(out).Encode(r)
	} else if r.OK && s.print != nil {
		err = s.print(out, &r)
	} else if r.OK {
		_, err = io.WriteString(out, resultText(&r))
	}
	if err == nil && !r.OK {
		err = fmt.Errorf("refused (%s): %s", r.Code, r.Text)
	}
	return err
}

func resultText(r *wire.Result) string {
	text := r.Text + "\n"
	if r.Reason != "" {
		text += r.Reason + "\n"
	}
	if len(r.Latched) > 0 {
		text += "waits for an acknowledgement: " + strings.Join(r.Latched, ", ") + " (agent ack --rule " + r.Latched[0] + " --by NAME)\n"
	}
	for i, c := range r.Cost {
		if i == 0 && r.CostSince.IsZero() {
			text += "rules have kept it closed for:\n"
		} else if i == 0 {
			text += "since " + r.CostSince.Local().Format("2006-01-02 15:04") + " rules have kept it closed for:\n"
		}
		text += fmt.Sprintf("  %s (%s) %.1f h, %.1f h of them alone", c.Title, c.Rule, c.ClosedS/3600, c.AloneS/3600)
		if c.KWh != nil {
			text += fmt.Sprintf("; %.1f kWh not sold", *c.KWh)
		}
		if c.Money != nil {
			text += fmt.Sprintf(", worth %.2f", *c.Money)
		}
		text += "\n"
	}
	return text
}

// check finds what is wrong before anyone is asked.
func (s *saying) check(now time.Time) error {
	if s.blank {
		return nil
	}
	if s.needsRule && s.command.Rule == "" {
		return usagef("%s: --rule is missing; agent status names the rules that wait", s.cmd.Name())
	}
	if s.needsUntil {
		switch d, err := time.ParseDuration(s.until); {
		case s.until == "":
			return usagef("%s: --until is missing", s.cmd.Name())
		case err == nil && d <= 0:
			return usagef("%s: --until %s: use a time above 0", s.cmd.Name(), d)
		case err == nil:
			s.command.ForMs = d.Milliseconds()
		default:
			t, err := time.Parse(time.RFC3339, s.until)
			if err != nil {
				return usagef("%s: --until %.60q: use RFC 3339 (%s) or a length (2h)", s.cmd.Name(), s.until, now.UTC().Format(time.RFC3339))
			}
			s.command.UntilMs = t.UnixMilli()
		}
	}
	w, err := word.Of(&s.command)
	if err != nil {
		return usageError{err}
	}
	if r := w.Check(); r != nil {
		return usagef("%s: %s", s.cmd.Name(), r.Text)
	}
	return nil
}

// sayHere speaks to the agent on this machine.
func (s *saying) sayHere(ctx context.Context) (wire.Result, error) {
	if err := s.check(time.Now()); err != nil {
		return wire.Result{}, err
	}
	path := s.config
	if path == "" {
		path = defaultConfig
	}
	cfg, err := agent.LoadConfig(path)
	if err != nil {
		return wire.Result{}, err
	}
	return socket.Ask(ctx, cfg.Data, &s.command)
}

// sayOverMQTT speaks to an agent anywhere, in an owner's name.
func (s *saying) sayOverMQTT(ctx context.Context) (wire.Result, error) {
	var none wire.Result
	if s.ownerKey == "" || s.device == "" {
		return none, usagef("%s: --mqtt needs --device and --owner-key", s.cmd.Name())
	}
	topics, err := word.ParseDevice(s.device)
	if err != nil {
		return none, usageError{fmt.Errorf("%s: --device: %w", s.cmd.Name(), err)}
	}
	owner, key, err := agent.LoadOwnerKey(s.ownerKey)
	if err != nil {
		return none, err
	}
	if s.command.By == "" {
		s.command.By = owner
	}
	now := time.Now()
	if err := s.check(now); err != nil {
		return none, err
	}
	s.command.Device, s.command.IssuedMs = s.device, now.UnixMilli()
	sealed, err := word.Seal(key, owner, &s.command)
	if err != nil {
		return none, err
	}
	pipe, err := watchPipe(s.url, s.ca, s.cert, s.key, logger(slog.LevelError))
	if err != nil {
		return none, err
	}
	results := make(chan wire.Result, 1)
	id := word.ID(sealed)
	pipe.Subscribe(topics.Of(wire.ClassResult), func(m mqtt.Message) {
		var r wire.Result
		if json.Unmarshal(m.Payload, &r) != nil || r.ID != id || r.Schema != wire.SchemaResult {
			return // someone else's
		}
		select {
		case results <- r:
		default:
		}
	})
	if err := awaitBroker(ctx, pipe, s.url); err != nil {
		return none, err
	}
	defer pipe.Close()
	if err := pipe.Publish(ctx, topics.Of("cmd/"+s.command.Do), 1, false, sealed); err != nil {
		return none, fmt.Errorf("send the command: %w", err)
	}
	select {
	case r := <-results:
		return r, nil
	case <-ctx.Done():
		return none, fmt.Errorf("no answer from %s: it is away, names no owner, or the broker does not let the command or its result through", s.device)
	}
}

func ownerKeyCommand() *cobra.Command {
	var name, out string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "owner-key --name NAME --out FILE",
		Short: "Make the key with which an owner speaks to agents over MQTT",
		Long: `Makes an owner's signing key in FILE, readable by its user only, and prints the
lines that an agent's configuration needs. An existing file is never overwritten.
Keep FILE where the owner works, not on the device.`,
		Example: "  agent owner-key --name ada --out ada.key",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case name == "":
				return usagef("owner-key: --name is missing")
			case out == "":
				return usagef("owner-key: --out is missing")
			case !seal.ValidName(name):
				return usagef("owner-key: --name %.60q: use 1 to 64 of a-z, 0-9 and -", name)
			}
			public, err := agent.MakeOwnerKey(out, name)
			if err != nil {
				return err
			}
			key := string(seal.FormatKey(public))
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]string{"name": name, "key": key, "key_file": out})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "owners:\n  - {name: %s, key: \"%s\"}\n", name, key)
			return err
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "the owner's name: a-z, 0-9 and - (required)")
	cmd.Flags().StringVar(&out, "out", "", "file of the key (required)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
