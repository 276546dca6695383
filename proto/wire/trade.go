package wire

// The statuses of a trade. The first six are on the way, the others are ends;
// a disputed trade has ended when its escrow is empty.
const (
	StatusEscrowed      = "escrowed"       // answered: money in escrow, Token out
	StatusPaid          = "paid"           // bound to a seller
	StatusDelivering    = "delivering"     // started
	StatusHeld          = "held"           // interrupted by a hazard
	StatusBilled        = "billed"         // delivered and billed, not confirmed
	StatusCleared       = "cleared"        // an auction made it: it waits for its slot's readings
	StatusSettled       = "settled"        // paid out for the whole volume
	StatusSettledPartly = "settled_partly" // paid out for a part of it
	StatusRefunded      = "refunded"       // money back, without anyone's fault
	StatusDisputed      = "disputed"       // the meters differ
	StatusFailed        = "failed"         // money back, the seller's fault
)

// Ended says whether a status is one of the ends.
func Ended(status string) bool {
	switch status {
	case StatusSettled, StatusSettledPartly, StatusRefunded, StatusDisputed, StatusFailed:
		return true
	}
	return false
}
