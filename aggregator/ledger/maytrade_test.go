package ledger

import "testing"

// Who is listed, or owes a fine, is neither quoted nor answered.
func TestWhoOwesOrIsListedMayNotTrade(t *testing.T) {
	for want, accounts := range map[bool][]Account{
		true:  {{}, {WalletMicro: 1}},
		false: {{Blacklisted: true}, {FinesDueMicro: 1}},
	} {
		for _, a := range accounts {
			if mayTrade(&a) != want {
				t.Errorf("%+v: may trade: %v", a, !want)
			}
		}
	}
}
