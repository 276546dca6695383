package main

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"fairwatt/aggregator/mc"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// standingFlags are those of a command that keeps someone out, or lets them in again: on
// the chain (--config), at the broker (--dir), or both.
type standingFlags struct {
	centreFlags
	dir, id, why string
}

func (s *standingFlags) add(cmd *cobra.Command) {
	s.centreFlags.add(cmd)
	f := cmd.Flags()
	f.Lookup("config").Usage = "configuration file of a centre (YAML): on the chain"
	f.StringVar(&s.dir, "dir", "", "the community's folder: in the broker's list")
	f.StringVar(&s.id, "id", "", "whose")
	f.StringVar(&s.why, "why", "", "reason, which stands on the chain")
}

// run does the one thing on the chain, and then the other in the broker's list.
func (s *standingFlags) run(cmd *cobra.Command, chain func(context.Context, *mc.Centre) error, broker func(dir, id string) error, says string) error {
	switch {
	case s.id == "" || s.dir == "" && s.config == "":
		return usagef("--id and --dir, --config or both are required")
	case s.why != "" && s.config == "":
		return usagef("--why stands on the chain: it goes with --config")
	}
	if s.config != "" {
		if err := s.centreFlags.run(cmd, chain); err != nil {
			return err
		}
	}
	if s.dir == "" {
		return nil
	}
	if err := broker(s.dir, s.id); err != nil {
		return err
	}
	_, err := fmt.Fprintf(cmd.ErrOrStderr(), "%s lets %s %s: have the broker read it again\n", mc.BrokerList(s.dir), s.id, says)
	return err
}

func mcRevokeCommand() *cobra.Command {
	var s standingFlags
	var word string
	cmd := &cobra.Command{
		Use:   "revoke (--dir DIR | --config FILE) --id ID",
		Short: "Take a holder out for good: its key on the chain, its certificate at the broker",
		Long: `Take a holder out for good: a device that was stolen, a person who has moved out.

With --config the key of a member is good for nothing more on the chain. Its offer goes,
its running trades end by the meters and by time, and what it has leaves by mc release.
Nothing brings it back; its owner comes in again under another id. With --word FILE the
owner says it instead of the centre, by the recovery word that agent enroll has printed,
and the centre only lends its connection. FILE may be - for the standard input.

With --dir it reads and writes no more at the broker, whatever certificate it shows. Its
lines in the list in DIR are changed; copy that to the broker, or to each of the NATS
servers, and have it read again (SIGHUP). Then NATS ends its connection and lets it in no
more, and Mosquitto lets it in, and neither takes anything from it nor gives it anything.

A data aggregator leaves the chain by mc retire.`,
		Example: `  aggregator mc revoke --config community/mc-1/mc.yaml --dir community --id pv-1 --why stolen
  aggregator mc revoke --dir community --id ada`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if word == "" {
				return s.run(cmd, func(ctx context.Context, c *mc.Centre) error { return c.Revoke(ctx, s.id, s.why) }, mc.Revoke, "do nothing more")
			}
			if s.config == "" {
				return usagef("--word is for the chain: it goes with --config")
			}
			key, err := readWord(cmd.InOrStdin(), word)
			if err != nil {
				return err
			}
			return s.run(cmd, func(ctx context.Context, c *mc.Centre) error { return c.Recover(ctx, s.id, s.why, key) }, mc.Revoke, "do nothing more")
		},
	}
	s.add(cmd)
	cmd.Flags().StringVar(&word, "word", "", "file with the member's recovery word, or - (never the word itself: other users see command lines)")
	return cmd
}

// readWord reads a recovery word.
func readWord(in io.Reader, file string) (ed25519.PrivateKey, error) {
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("read recovery word: %w", err)
		}
		defer f.Close() // read only: nothing to lose
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, 1<<10))
	if err != nil {
		return nil, fmt.Errorf("read recovery word: %w", err)
	}
	return wire.RecoveryKey(string(b))
}

func mcSuspendCommand() *cobra.Command {
	var s standingFlags
	cmd := &cobra.Command{
		Use:   "suspend (--config FILE | --dir DIR) --id ID",
		Short: "Keep a member out until it is reinstated",
		Long: `Keep a member out until it is reinstated. With --config the chain takes nothing that it
signs, its offer goes, and its running trades end by the meters and by time. With --dir it
reads and writes no more at the broker, once that has read its list again.`,
		Example: "  aggregator mc suspend --config community/mc-1/mc.yaml --dir community --id pv-1 --why \"its meter is looked at\"",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.run(cmd, func(ctx context.Context, c *mc.Centre) error { return c.Suspend(ctx, s.id, s.why) }, mc.Revoke, "do nothing more")
		},
	}
	s.add(cmd)
	return cmd
}

func mcReinstateCommand() *cobra.Command {
	var s standingFlags
	cmd := &cobra.Command{
		Use:     "reinstate (--config FILE | --dir DIR) --id ID",
		Short:   "Let a suspended member take part again",
		Long:    `Let a suspended member take part again, on the chain (--config) and at the broker (--dir).`,
		Example: "  aggregator mc reinstate --config community/mc-1/mc.yaml --dir community --id pv-1",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.run(cmd, func(ctx context.Context, c *mc.Centre) error { return c.Reinstate(ctx, s.id, s.why) }, mc.Readmit, "read and write again")
		},
	}
	s.add(cmd)
	return cmd
}

func mcChangeCommand() *cobra.Command {
	var centre centreFlags
	var id, site, account, recovery string
	var roles []string
	cmd := &cobra.Command{
		Use:   "change --config FILE (--id ID [--role seller|buyer] [--site SITE] [--account ACCOUNT] | --recovery FORM)",
		Short: "Change what is registered of a member",
		Long: `Change what is registered of a member: its roles, its site, the bank account that its
wallet is paid out to. What is left out stays. Who sells no more bills what it has begun.

--recovery is what agent key recovery has written on the device: another recovery word
counts for it from now on, and the one before for nothing. The form is taken only if the
key signed it that the chain has of the member.`,
		Example: `  aggregator mc change --config community/mc-1/mc.yaml --id house-1 --role seller --role buyer
  aggregator mc change --config community/mc-1/mc.yaml --recovery recovery.json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if recovery != "" {
				if id+site+account != "" || len(roles) > 0 {
					return usagef("--recovery says whose word it is: it goes with --config alone")
				}
				form, err := readEnrolment(centre.config, recovery)
				if err != nil {
					return err
				}
				if len(form.RecoveryHash) == 0 {
					return usagef("--recovery %s: the form has no recovery word; agent key recovery makes one that has", recovery)
				}
				return centre.run(cmd, func(ctx context.Context, c *mc.Centre) error { return c.ChangeRecovery(ctx, form) })
			}
			m := &fairwattpb.MemberChange{Id: id, Site: site, Roles: rolesOf(roles)}
			if account != "" {
				hash := sha256.Sum256([]byte(account))
				m.PayeeHash = hash[:]
			}
			switch {
			case len(m.Roles) != len(roles):
				return usagef("--role %v: seller, buyer or both", roles)
			case id == "" || site+account == "" && len(roles) == 0:
				return usagef("--id, and one of --role, --site and --account are required")
			}
			return centre.run(cmd, func(ctx context.Context, c *mc.Centre) error { return c.ChangeMember(ctx, m) })
		},
	}
	centre.add(cmd)
	f := cmd.Flags()
	f.StringVar(&id, "id", "", "the member's id")
	f.StringVar(&site, "site", "", "its site, as in its MQTT topics")
	f.StringSliceVar(&roles, "role", nil, "seller, buyer: all that it has from now on (repeatable)")
	f.StringVar(&account, "account", "", "the bank account that it is paid out to, and no other (its hash goes on the chain)")
	f.StringVar(&recovery, "recovery", "", "the file that agent key recovery wrote")
	return cmd
}

func mcReleaseCommand() *cobra.Command {
	var centre centreFlags
	var id, amount, withdrawal, account string
	var bond bool
	cmd := &cobra.Command{
		Use:   "release --config FILE --id ID --amount AMOUNT (--bond | --withdrawal ID --account ACCOUNT)",
		Short: "Let the money of a revoked member go to its owner",
		Long: `Let the money of a revoked member go to its owner. --bond asks its bond back into its
wallet, when its trades are over; --withdrawal puts money of the wallet on its way to the
bank account that is registered for it, if one is, and to no other. An auditor approves it
(market approve), and mc payout says that the bank has paid.`,
		Example: `  aggregator mc release --config community/mc-1/mc.yaml --id pv-1 --amount 10 --bond
  aggregator mc release --config community/mc-1/mc.yaml --id pv-1 --amount 23.50 --withdrawal w-1 --account DE02120300000000202051`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if id == "" || bond != (withdrawal == "") || bond != (account == "") {
				return usagef("--id, and either --bond or --withdrawal and --account are required")
			}
			micro, err := wire.ParseMoney(amount)
			if err != nil {
				return usagef("--amount: %w", err)
			}
			return centre.run(cmd, func(ctx context.Context, c *mc.Centre) error {
				if bond {
					return c.Unbond(ctx, &fairwattpb.Unbond{AmountMicro: micro, Member: id})
				}
				hash := sha256.Sum256([]byte(account))
				return c.Withdraw(ctx, &fairwattpb.Withdrawal{WithdrawalId: withdrawal, AmountMicro: micro, PayeeHash: hash[:], Member: id})
			})
		},
	}
	centre.add(cmd)
	f := cmd.Flags()
	f.StringVar(&id, "id", "", "the member whose key was revoked")
	f.StringVar(&amount, "amount", "", "amount in currency units, up to six decimals")
	f.BoolVar(&bond, "bond", false, "of its bond, into its wallet")
	f.StringVar(&withdrawal, "withdrawal", "", "id of the withdrawal, of its wallet")
	f.StringVar(&account, "account", "", "the bank account, as it was registered")
	return cmd
}

// rolesOf are the roles of those names, ascending; another name is left out.
func rolesOf(names []string) (out []fairwattpb.Role) {
	for _, role := range []struct {
		name string
		role fairwattpb.Role
	}{{wire.RoleSeller, fairwattpb.Role_ROLE_SELLER}, {wire.RoleBuyer, fairwattpb.Role_ROLE_BUYER}} {
		for _, want := range names {
			if want == role.name {
				out = append(out, role.role)
			}
		}
	}
	return out
}

// readEnrolment reads a form for the chain of a centre's configuration.
func readEnrolment(config, file string) (*wire.EnrolmentForm, error) {
	var c mcConfig
	if err := readConfig(config, &c); err != nil {
		return nil, err
	}
	g, err := mc.ReadGenesis(c.Genesis)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read enrolment: %w", err)
	}
	return wire.ParseEnrolment(b, g.ChainID())
}
