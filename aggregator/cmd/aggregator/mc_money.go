package main

import (
	"context"

	"github.com/spf13/cobra"

	"fairwatt/aggregator/mc"
	"fairwatt/proto/fairwattpb"
)

func mcReverseCommand() *cobra.Command {
	var centre centreFlags
	var deposit, reason string
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
			return centre.run(cmd, func(ctx context.Context, c *mc.Centre) error { return c.Reverse(ctx, r) })
		},
	}
	centre.add(cmd)
	f := cmd.Flags()
	f.StringVar(&deposit, "deposit", "", "reference of the deposit")
	f.StringVar(&reason, "reason", "", "why")
	return cmd
}

func mcPayoutCommand() *cobra.Command {
	var centre centreFlags
	var member, id, reference string
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
			return centre.run(cmd, func(ctx context.Context, c *mc.Centre) error { return c.PayOut(ctx, p) })
		},
	}
	centre.add(cmd)
	f := cmd.Flags()
	f.StringVar(&member, "member", "", "whose withdrawal")
	f.StringVar(&id, "withdrawal", "", "its id")
	f.StringVar(&reference, "reference", "", "the bank's reference of the payment")
	return cmd
}

func marketApproveCommand() *cobra.Command {
	var by judgeFlags
	var deposit, member, id string
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
			if by.id == "" || by.key == "" || (deposit == "") == (member == "" || id == "") || deposit != "" && member+id != "" {
				return usagef("--auditor, --key, and either --deposit or --member and --withdrawal are required")
			}
			key, err := mc.ReadKey(by.key)
			if err != nil {
				return err
			}
			a := &fairwattpb.Approval{Deposit: deposit, Member: member, WithdrawalId: id}
			return by.run(cmd, func(ctx context.Context, c *mc.Centre) error { return c.Approve(ctx, by.id, key, a) })
		},
	}
	by.add(cmd, "auditor")
	f := cmd.Flags()
	f.StringVar(&deposit, "deposit", "", "reference of a deposit that waits, or whose reversal does")
	f.StringVar(&member, "member", "", "whose withdrawal")
	f.StringVar(&id, "withdrawal", "", "its id")
	return cmd
}
