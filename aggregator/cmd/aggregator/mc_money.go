package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"fairwatt/aggregator/mc"
	"fairwatt/proto/fairwattpb"
)

func mcReverseCommand() *cobra.Command {
	var config, deposit, reason string
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "reverse --config FILE --deposit REFERENCE --reason TEXT",
		Short: "Ask for a deposit to be taken back",
		Long: `Ask for a deposit to be taken back, such as one that was mistyped. It takes effect when an
auditor approves it (market approve), as long as its member has the money.`,
		Example: "  aggregator mc reverse --config community/mc-1/mc.yaml --deposit bank-2041 --reason \"a nought too many\"",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if deposit == "" || reason == "" {
				return usagef("--deposit and --reason are required")
			}
			r := &fairwattpb.Reversal{Deposit: deposit, Reason: reason}
			return withCentre(cmd, config, wait, func(ctx context.Context, c *mc.Centre) error { return c.Reverse(ctx, r) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&config, "config", "", "configuration file (YAML)")
	f.StringVar(&deposit, "deposit", "", "reference of the deposit")
	f.StringVar(&reason, "reason", "", "why")
	f.DurationVar(&wait, "wait", 30*time.Second, "how long to wait for the chain")
	return cmd
}

func mcPayoutCommand() *cobra.Command {
	var config, member, id, reference string
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "payout --config FILE --member ID --withdrawal ID --reference TEXT",
		Short: "Say that the bank has paid a withdrawal",
		Long: `Say that the bank has paid a withdrawal that an auditor approved (market approve): the
money leaves the chain. Have the bank pay only what was approved. What is not paid within
the genesis' payout_ms goes back into the wallet.`,
		Example: "  aggregator mc payout --config community/mc-1/mc.yaml --member house-1 --withdrawal w-1 --reference bank-77",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if member == "" || id == "" || reference == "" {
				return usagef("--member, --withdrawal and --reference are required")
			}
			p := &fairwattpb.Payout{Member: member, WithdrawalId: id, BankReference: reference}
			return withCentre(cmd, config, wait, func(ctx context.Context, c *mc.Centre) error { return c.PayOut(ctx, p) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&config, "config", "", "configuration file (YAML)")
	f.StringVar(&member, "member", "", "whose withdrawal")
	f.StringVar(&id, "withdrawal", "", "its id")
	f.StringVar(&reference, "reference", "", "the bank's reference of the payment")
	f.DurationVar(&wait, "wait", 30*time.Second, "how long to wait for the chain")
	return cmd
}

func marketApproveCommand() *cobra.Command {
	var config, auditor, keyFile, deposit, member, id string
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "approve --config FILE --auditor ID --key FILE (--deposit REFERENCE | --member ID --withdrawal ID)",
		Short: "Approve a deposit, a reversal or a withdrawal as an auditor",
		Long: `Approve as an auditor what a centre or a member says of money: a deposit that waits is
credited, a reversal that was asked for takes place, a withdrawal may be paid. Compare with
the bank's own statement first.`,
		Example: `  aggregator market approve --config mc.yaml --auditor eve --key eve.key --deposit bank-2041
  aggregator market approve --config mc.yaml --auditor eve --key eve.key --member house-1 --withdrawal w-1`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if auditor == "" || keyFile == "" || (deposit == "") == (member == "" || id == "") || deposit != "" && member+id != "" {
				return usagef("--auditor, --key, and either --deposit or --member and --withdrawal are required")
			}
			key, err := mc.ReadKey(keyFile)
			if err != nil {
				return err
			}
			a := &fairwattpb.Approval{Deposit: deposit, Member: member, WithdrawalId: id}
			return withCentre(cmd, config, wait, func(ctx context.Context, c *mc.Centre) error { return c.Approve(ctx, auditor, key, a) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&config, "config", "", "configuration file of a centre, whose connection is used (YAML)")
	f.StringVar(&auditor, "auditor", "", "id of the auditor, as the genesis names it")
	f.StringVar(&keyFile, "key", "", "file with the auditor's key (PEM)")
	f.StringVar(&deposit, "deposit", "", "reference of a deposit that waits, or whose reversal does")
	f.StringVar(&member, "member", "", "whose withdrawal")
	f.StringVar(&id, "withdrawal", "", "its id")
	f.DurationVar(&wait, "wait", 30*time.Second, "how long to wait for the chain")
	return cmd
}
