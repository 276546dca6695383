package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"fairwatt/agent"
	"fairwatt/agent/outbox"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

func keyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "key",
		Short:   "Change this device's signing key, or its recovery word",
		Long:    "Change this device's signing key, or its recovery word; agent enroll makes the first ones.",
		Example: "  agent key change --config /etc/fairwatt/agent.yaml",
		Args:    noArgs,
		RunE:    helpOnly,
	}
	cmd.AddCommand(keyChangeCommand(), keyRecoveryCommand())
	return cmd
}

func keyChangeCommand() *cobra.Command {
	var path string
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "change --config FILE",
		Short: "Give this device another signing key",
		Long: `Gives this device another signing key: makes it, tells the chain with the old one, and
puts it into the old one's place when the chain says so. Stop the agent first, when no
record of it waits for its outcome; its trades go on with the new key. A device may change
its key once in 100 blocks.

If this is cut off, by a power cut or because no answer comes, the old key stays and the
next one is kept (next.key). Run it again, or start the agent: both go on where it
stopped. One of the two is always the key that the chain knows, so copy both if you copy
one meanwhile.`,
		Example: `  sudo systemctl stop fairwatt-agent
  sudo -u fairwatt agent key change --config /etc/fairwatt/agent.yaml
  sudo systemctl start fairwatt-agent`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if path == "" {
				return usageError{errors.New("key change: --config is missing")}
			}
			cfg, err := agent.LoadConfig(path)
			if err != nil {
				return err
			}
			if cfg.Genesis == "" {
				return errors.New("key change: the configuration names no genesis, so no chain knows this device")
			}
			key, err := changeKey(cmd.Context(), cfg, wait, logger(slog.LevelWarn))
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), key)
			return err
		},
	}
	cmd.Flags().StringVar(&path, "config", "", "the agent's configuration file (required)")
	cmd.Flags().DurationVar(&wait, "wait", time.Minute, "how long to wait for the chain")
	return cmd
}

func keyRecoveryCommand() *cobra.Command {
	var path string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "recovery --config FILE",
		Short: "Make another recovery word for paper",
		Long: `Makes another recovery word: the one before was lost, or someone else may have read it,
or there is none yet. It is printed once and kept nowhere: write it on paper. recovery.json
beside the key is for the centre (mc change --recovery); until the centre has taken it the
word of before is the good one. The agent may run meanwhile.

Whoever has a device's key can ask for another word too: if the device was stolen, have it
revoked now, by the word that you have.`,
		Example: "  sudo -u fairwatt agent key recovery --config /etc/fairwatt/agent.yaml",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if path == "" {
				return usageError{errors.New("key recovery: --config is missing")}
			}
			cfg, err := agent.LoadConfig(path)
			if err != nil {
				return err
			}
			var roles []string
			if cfg.Sell != nil {
				roles = append(roles, wire.RoleSeller)
			}
			if cfg.Buy != nil {
				roles = append(roles, wire.RoleBuyer)
			}
			if cfg.Genesis == "" || len(roles) == 0 {
				return errors.New("key recovery: the configuration names no genesis, or neither sells nor buys, so no chain has a word for this device")
			}
			chain, err := agent.LoadChain(cfg.Genesis)
			if err != nil {
				return err
			}
			word, err := agent.NewRecovery(cfg.Data, chain, cfg.Device, roles)
			if err != nil {
				return err
			}
			form := filepath.Join(cfg.Data, agent.RecoveryFile)
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]string{"form": form, "recovery_word": word})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n\nrecovery word, for paper; it is shown this once:\n\n    %s\n", form, word)
			return err
		},
	}
	cmd.Flags().StringVar(&path, "config", "", "the agent's configuration file (required)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// changeKey changes the key of a configuration's device, or goes on with it.
func changeKey(ctx context.Context, cfg *agent.Config, wait time.Duration, log *slog.Logger) (key seal.PublicKey, err error) {
	chain, err := agent.LoadChain(cfg.Genesis)
	if err != nil {
		return "", err
	}
	pipes, _, err := brokers(cfg, log)
	if err != nil {
		return "", err
	}
	db, err := outbox.Open(filepath.Join(cfg.Data, outboxFile), cfg.Outbox)
	if err != nil {
		return "", fmt.Errorf("%w (is the agent running?)", err)
	}
	defer func() { err = errors.Join(err, db.Close(time.Now().UnixMilli())) }()
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	change := agent.KeyChange{Config: *cfg, Chain: chain, Pipes: pipes, Outbox: db, Wall: time.Now, Logger: log}
	public, err := change.Run(ctx)
	if err != nil {
		return "", err
	}
	return seal.FormatKey(public), nil
}

// changesFor is how long a starting agent waits for a change of its key to end.
const changesFor = time.Minute

// finishKeyChange ends a change of the key that was cut off: until then nobody here knows
// which key is good. The gate is closed meanwhile.
func finishKeyChange(ctx context.Context, cfg *agent.Config, log *slog.Logger) error {
	if cfg.Genesis == "" || !agent.KeyChanging(cfg.Data) {
		return nil
	}
	log.Warn("a change of the key was cut off: it goes on first")
	key, err := changeKey(ctx, cfg, changesFor, log)
	if err != nil && agent.KeyChanging(cfg.Data) {
		return err
	}
	if err != nil {
		log.Error("the key stays", "err", err)
		return nil
	}
	log.Info("the key was changed", "public_key", string(key))
	return nil
}
