package main

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"fairwatt/agent"
	"fairwatt/proto/seal"
)

func enrollCommand() *cobra.Command {
	var dir, genesis, device, account string
	var roles []string
	var asJSON, recovery bool
	cmd := &cobra.Command{
		Use:   "enroll --dir DIR",
		Short: "Make this device's signing key and print its public key",
		Long: `Makes an ed25519 signing key in DIR, readable by its owner only, and prints the
public key, which the management centre registers. An existing key is never
overwritten.

With --genesis it also writes enrolment.json to DIR, which shows that the key is this
device's: hand it to the centre (mc register --enrolment). --recovery prints a word of
32 letters once, and keeps it nowhere: write it on paper. Whoever has it can have the
device's key revoked if the device is stolen, and nothing else.`,
		Example: `  agent enroll --dir /var/lib/fairwatt
  agent enroll --dir /var/lib/fairwatt --genesis genesis.json --device pv-1 --role seller --recovery`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				return usageError{errors.New("enroll: --dir is missing")}
			}
			if (genesis == "") != (device == "" && len(roles) == 0 && account == "" && !recovery) || genesis != "" && (device == "" || len(roles) == 0) {
				return usageError{errors.New("enroll: --genesis, --device and --role belong together, and --account and --recovery go with them")}
			}
			out := map[string]string{"key_file": filepath.Join(dir, agent.KeyFile)}
			var public ed25519.PublicKey
			var err error
			if genesis == "" {
				public, err = agent.Enroll(dir)
			} else {
				public, err = enrollFor(dir, genesis, device, account, roles, recovery, out)
			}
			if err != nil {
				return err
			}
			out["public_key"] = string(seal.FormatKey(public))
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(out)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), out["public_key"])
			if word := out["recovery_word"]; word != "" && err == nil {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "\nrecovery word, for paper; it is shown this once:\n\n    %s\n", word)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "directory of the key: the configuration's data (required)")
	cmd.Flags().StringVar(&genesis, "genesis", "", "the community's genesis.json: write "+agent.EnrolmentFile+" for its chain")
	cmd.Flags().StringVar(&device, "device", "", "the device's id")
	cmd.Flags().StringSliceVar(&roles, "role", nil, "seller, buyer (repeatable, in this order)")
	cmd.Flags().StringVar(&account, "account", "", "the bank account that the wallet is paid out to, and no other (its hash goes on the chain)")
	cmd.Flags().BoolVar(&recovery, "recovery", false, "print a recovery word")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// enrollFor enrols for a chain, and adds what came of it to out.
func enrollFor(dir, genesis, device, account string, roles []string, recovery bool, out map[string]string) (ed25519.PublicKey, error) {
	chain, err := agent.LoadChain(genesis)
	if err != nil {
		return nil, err
	}
	public, word, err := agent.EnrollFor(dir, chain, device, roles, account, recovery)
	if err != nil {
		return nil, err
	}
	out["enrolment"] = filepath.Join(dir, agent.EnrolmentFile)
	if word != "" {
		out["recovery_word"] = word
	}
	return public, nil
}
