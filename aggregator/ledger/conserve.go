package ledger

import "fmt"

// conserves checks a block's effect on money before anyone votes for it: what came in
// and has not gone is in wallets, escrows, bonds, the fund, fees and withdrawals, and the sums that the state keeps moved
// by what the accounts and trades moved by. A rule that loses or makes a millionth makes
// no block.
func (s *State) conserves(m *meta, changes []Change) error {
	if m.WalletsMicro+m.EscrowMicro+m.BondsMicro+m.FundMicro+m.FeesMicro+m.OutMicro != m.DepositedMicro-m.ReversedMicro-m.PaidOutMicro {
		return fmt.Errorf("money not conserved: %d in wallets, %d in escrow, %d in bonds, %d in the fund, %d in fees, %d on its way out; %d deposited, %d reversed, %d paid out",
			m.WalletsMicro, m.EscrowMicro, m.BondsMicro, m.FundMicro, m.FeesMicro, m.OutMicro, m.DepositedMicro, m.ReversedMicro, m.PaidOutMicro)
	}
	if min(m.FeesMicro, m.OutMicro, m.ReversedMicro, m.PaidOutMicro) < 0 {
		return fmt.Errorf("money not conserved: fees %d, on its way out %d, reversed %d, paid out %d", m.FeesMicro, m.OutMicro, m.ReversedMicro, m.PaidOutMicro)
	}
	if m.HeldMicro < 0 || m.FundMicro < m.HeldMicro {
		return fmt.Errorf("money not conserved: the fund has %d, and %d of it is held", m.FundMicro, m.HeldMicro)
	}
	wallets, bonds, escrow, out := s.meta.WalletsMicro, s.meta.BondsMicro, s.meta.EscrowMicro, s.meta.OutMicro
	for _, c := range changes {
		key := string(c.Key)
		switch {
		case hasPrefix(key, keyAccount):
			var was, now Account
			if err := s.wasAndIs(c, &was, &now); err != nil {
				return err
			}
			if now.WalletMicro < 0 || now.BondMicro < 0 || now.LeavingMicro < 0 {
				return fmt.Errorf("money not conserved: %s is below zero: %+v", key, now)
			}
			wallets += now.WalletMicro - was.WalletMicro
			bonds += now.BondMicro + now.LeavingMicro - was.BondMicro - was.LeavingMicro
		case hasPrefix(key, keyTrade):
			var was, now Trade
			if err := s.wasAndIs(c, &was, &now); err != nil {
				return err
			}
			if now.EscrowMicro < 0 {
				return fmt.Errorf("money not conserved: the escrow of %s is below zero", key)
			}
			escrow += now.EscrowMicro - was.EscrowMicro
		case isBid(key):
			var was, now SlotOrder
			if err := s.wasAndIs(c, &was, &now); err != nil {
				return err
			}
			if now.PromisedMicro < 0 {
				return fmt.Errorf("money not conserved: the escrow of %s is below zero", key)
			}
			escrow += now.PromisedMicro - was.PromisedMicro
		case hasPrefix(key, keyWithdrawal):
			var was, now outflow
			if err := s.wasAndIs(c, &was, &now); err != nil {
				return err
			}
			out += now.heldMicro() - was.heldMicro()
		}
	}
	if wallets != m.WalletsMicro || bonds != m.BondsMicro || escrow != m.EscrowMicro || out != m.OutMicro {
		return fmt.Errorf("money not conserved: the block leaves %d in wallets, %d in bonds, %d in escrow, %d on its way out, and says %d, %d, %d, %d",
			wallets, bonds, escrow, out, m.WalletsMicro, m.BondsMicro, m.EscrowMicro, m.OutMicro)
	}
	return nil
}

// wasAndIs decodes a change's value, and that before it.
func (s *State) wasAndIs(c Change, was, is value) error {
	if b, ok := s.tree.get(string(c.Key)); ok {
		if err := decodeValue(b, was); err != nil {
			return err
		}
	}
	if c.Delete {
		return nil
	}
	return decodeValue(c.Value, is)
}
