package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"fairwatt/agent"
	"fairwatt/agent/outbox"
	"fairwatt/proto/certfile"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/systemd"
)

func runCommand() *cobra.Command {
	var path, level, format string
	cmd := &cobra.Command{
		Use:   "run --config FILE",
		Short: "Run the agent",
		Long: `Runs the agent until it is told to stop (SIGINT, SIGTERM). It starts although
a sensor is missing, and says which; the gate stays closed for what it cannot
see. The gate always starts closed.`,
		Example: "  agent run --config /etc/fairwatt/agent.yaml",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if path == "" {
				return usageError{errors.New("run: --config is missing")}
			}
			var l slog.Level
			if err := l.UnmarshalText([]byte(level)); err != nil {
				return usageError{fmt.Errorf("--log %q: use debug, info, warn or error", level)}
			}
			log, err := formatted(os.Stderr, l, format)
			if err != nil {
				return err
			}
			cfg, err := agent.LoadConfig(path)
			if err != nil {
				return err
			}
			return runAgent(cmd.Context(), cfg, log)
		},
	}
	cmd.Flags().StringVar(&path, "config", "", "configuration file (required)")
	cmd.Flags().StringVar(&level, "log", "info", "log level: debug, info, warn, error")
	cmd.Flags().StringVar(&format, "log-format", "text", "form of the log on stderr: text or json")
	return cmd
}

// outboxFile is the name of the outbox in the data directory.
const outboxFile = "agent.db"

func runAgent(ctx context.Context, cfg *agent.Config, log *slog.Logger) (err error) {
	signal.Ignore(syscall.SIGHUP) // nothing is read again, and the gate is not to close for it
	notifier, err := systemd.New(os.Getenv)
	if err != nil {
		return err
	}
	guard, err := newGuard(cfg, notifier)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	if err := finishKeyChange(ctx, cfg, log); err != nil {
		return err
	}
	deps := agent.Deps{
		Version: readBuild().Version, Logger: log, Clock: agent.LiveClock(trustOf(cfg)), Supervisor: guard.supervisor(log),
	}
	if cfg.Genesis != "" {
		if deps.Chain, err = agent.LoadChain(cfg.Genesis); err != nil {
			return err
		}
		if deps.Key, err = agent.LoadKey(filepath.Join(cfg.Data, agent.KeyFile)); err != nil {
			return fmt.Errorf("%w (agent enroll --dir %s makes one)", err, cfg.Data)
		}
	} else {
		log.Warn("no genesis: the gate is judged and published, but nothing is sealed or traded")
	}
	hw, err := openHardware(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, hw.close.Close()) }()
	if err := hw.openContactor(cfg); err != nil {
		return err
	}
	if deps.Supply, err = hw.openSupply(cfg); err != nil {
		return err
	}
	deps.Sensors, deps.Missing, deps.Contactor = hw.sensors, hw.missing, hw.contactor

	network, err := agent.LoadNetwork(cfg.Network)
	if err != nil {
		log.Warn("rules only", "err", err)
		network = nil
	}
	judgeConfig, err := cfg.LiveJudge()
	if err != nil {
		return err
	}
	for _, l := range cfg.Judge.Loosened() {
		log.Warn("looser than the grid profile", "setting", l.Setting, "value", l.Value, "default", l.Default)
	}
	if deps.Judge, err = agent.NewJudge(judgeConfig, network); err != nil {
		return err
	}
	for _, u := range deps.Judge.Unserved() {
		log.Info("rule not served here", "rule", u.Rule, "why", u.Why)
	}
	deps.ModelHash = network.Hash()
	defer func() { err = errors.Join(err, network.Close()) }()
	if deps.Pipes, deps.CertificateEnds, err = brokers(cfg, log); err != nil {
		return err
	}
	if deps.Outbox, err = outbox.Open(filepath.Join(cfg.Data, outboxFile), cfg.Outbox); err != nil {
		return err
	}
	a, err := agent.New(*cfg, deps)
	if err == nil {
		err = guard.arm(setWatchdogTimeout)
	}
	if err != nil {
		return errors.Join(err, deps.Outbox.Close(deps.Clock.Wall().UnixMilli()))
	}
	defer guard.watchStop(ctx, log)()
	closeDoor := openDoor(ctx, cfg.Data, a, log)
	err = errors.Join(a.Run(ctx), closeDoor())
	return errors.Join(err, guard.end(err == nil))
}

// brokers prepares the connections of a configuration, and says when its certificate
// ends; nil without one.
func brokers(cfg *agent.Config, log *slog.Logger) (pipes []mqtt.Pipe, ends func() time.Time, err error) {
	links := brokerLinks{URLs: cfg.MQTT, Auth: cfg.MQTTAuth, TLS: cfg.TLS}
	return links.prepare(mqtt.Config{ClientID: cfg.Device, Will: agent.WillOf(cfg), Logger: log})
}

// prepare makes a connection to each of the brokers.
func (l brokerLinks) prepare(base mqtt.Config) (pipes []mqtt.Pipe, ends func() time.Time, err error) {
	var pair *certfile.Pair
	if base.TLS, pair, err = tlsOf(l.TLS, base.Logger); err != nil {
		return nil, nil, err
	}
	if pair != nil {
		ends = pair.Ends
	}
	base.Username = l.Auth.Username
	if base.Password, err = l.password(); err != nil {
		return nil, nil, err
	}
	for _, base.URL = range l.URLs {
		pipe, err := mqtt.New(base)
		if err != nil {
			return nil, nil, err
		}
		pipes = append(pipes, pipe)
	}
	return pipes, ends, nil
}

// tlsOf reads the files of tls:// connections; nil without a CA. A certificate that
// changes is read again.
func tlsOf(files agent.TLSConfig, log *slog.Logger) (*tls.Config, *certfile.Pair, error) {
	if files.CA == "" {
		return nil, nil, nil
	}
	pem, err := os.ReadFile(files.CA)
	if err != nil {
		return nil, nil, fmt.Errorf("read CA: %w", err)
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	if !out.RootCAs.AppendCertsFromPEM(pem) {
		return nil, nil, fmt.Errorf("CA %s: no certificate in it", files.CA)
	}
	if files.Cert == "" {
		return out, nil, nil
	}
	pair, err := certfile.Open(files.Cert, files.Key, tls.LoadX509KeyPair, func(ends time.Time, err error) {
		if err != nil {
			log.Error("new certificate is not used", "file", files.Cert, "in_use_ends", ends, "err", err)
			return
		}
		log.Info("new certificate", "file", files.Cert, "ends", ends)
	})
	if err != nil {
		return nil, nil, fmt.Errorf("client %w", err)
	}
	pair.Use(out)
	return out, pair, nil
}
