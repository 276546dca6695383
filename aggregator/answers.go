package aggregator

import (
	"fairwatt/aggregator/ledger"
	"fairwatt/proto/fairwattpb"
)

// keptAnswers is of how many records the outcome is remembered: about as many
// as senders can have in their replay windows in a community of hundreds.
const keptAnswers = 200_000

// answers remember what became of the newest records, for senders that ask
// again because they missed the receipt.
type answers struct {
	byID *recent[answer]
}

type answer struct {
	height  uint64
	sender  string
	counter uint64
	outcome *fairwattpb.Outcome
	trade   *fairwattpb.TradeNotice // what the sender was told of its trade
}

func newAnswers() *answers { return &answers{byID: newRecent[answer](keptAnswers)} }

func (a *answers) has(id [32]byte) bool {
	_, ok := a.byID.get(id)
	return ok
}

func (a *answers) get(id [32]byte) (answer, bool) { return a.byID.get(id) }

// add takes the outcomes of a committed block.
func (a *answers) add(st *ledger.Staged) {
	told := make(map[int]*fairwattpb.TradeNotice)
	records, outcomes, ids := st.Records(), st.Outcomes(), st.RecordIDs()
	for _, n := range st.Notices() {
		if n.Index >= 0 && n.Index < len(records) && n.To == records[n.Index].Record.GetSender() {
			told[n.Index] = n.Trade
		}
	}
	height := st.Header().GetHeight()
	for i, r := range records {
		a.byID.put(ids[i], answer{
			height: height, sender: r.Record.GetSender(), counter: r.Record.GetCounter(),
			outcome: outcomes[i], trade: told[i],
		})
	}
}

func (a answer) entry(id [32]byte) *fairwattpb.ReceiptEntry {
	return &fairwattpb.ReceiptEntry{RecordId: id[:], Sender: a.sender, Counter: a.counter, Outcome: a.outcome, Trade: a.trade}
}
