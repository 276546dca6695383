package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"fairwatt/agent"
	"fairwatt/proto/seal"
)

func enrollCommand() *cobra.Command {
	var dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "enroll --dir DIR",
		Short: "Make this device's signing key and print its public key",
		Long: `Makes an ed25519 signing key in DIR, readable by its owner only, and prints the
public key, which the management centre registers. An existing key is never
overwritten.`,
		Example: "  agent enroll --dir /var/lib/fairwatt",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				return usageError{errors.New("enroll: --dir is missing")}
			}
			public, err := agent.Enroll(dir)
			if err != nil {
				return err
			}
			key := seal.FormatKey(public)
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]string{
					"public_key": string(key), "key_file": filepath.Join(dir, agent.KeyFile),
				})
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), key)
			return err
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "directory of the key: the configuration's data (required)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
