package ledger

import (
	"container/heap"
	"crypto/ed25519"
	"slices"
	"strings"

	"fairwatt/aggregator/wct"
	"fairwatt/proto/fairwattpb"
)

// NextDeadline returns when the next status, offer, request or epoch ends by time; 0 for
// never.
func (s *State) NextDeadline() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.due) > 0 {
		if _, ok := s.tree.get(s.due[0]); ok {
			break
		}
		heap.Pop(&s.due) // it was lifted before it came
	}
	if len(s.due) == 0 {
		return 0
	}
	ms, _, _, err := parseDeadlineKey(s.due[0])
	if err != nil {
		return 0 // checked when it was made
	}
	return ms
}

// Genesis returns the chain's genesis; it must not be changed.
func (s *State) Genesis() *Genesis { return s.genesis }

// ChainID returns the chain's id.
func (s *State) ChainID() [32]byte { return s.chain }

// Height returns the height of the newest block, 0 before the first.
func (s *State) Height() uint64 { return s.now().Height }

// TimeMs returns the time of the newest block; the genesis' before the first.
func (s *State) TimeMs() int64 { return s.now().TimeMs }

// Epoch returns the number of the epoch the next block belongs to, from 1.
func (s *State) Epoch() uint64 { return s.now().Epoch }

// EpochFirstHeight and EpochLastHeight return the heights at which the epoch of
// the next block begins and, unless a rejoin or the time ends it before, ends.
func (s *State) EpochFirstHeight() uint64 { return s.now().EpochFirst }

// EpochLastHeight: see [State.EpochFirstHeight].
func (s *State) EpochLastHeight() uint64 {
	return s.now().EpochFirst + s.genesis.Params.EpochBlocks - 1
}

func (s *State) now() meta {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.meta
}

// HeaderHash returns the hash of the newest block's header; the chain's id
// before the first.
func (s *State) HeaderHash() [32]byte {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.headerHash
}

// Root returns the state root, as the newest block's header has it.
func (s *State) Root() [32]byte {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.tree.root()
}

// LastCounter returns the greatest counter of a sender's records in blocks, 0
// before the first.
func (s *State) LastCounter(sender string) uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	w, err := decodeWindow(s.tree.get(keyWindow + sender))
	if err != nil {
		return 0 // unreachable: the state holds what it has encoded itself
	}
	return w.Last()
}

// Order returns the data aggregators of the present epoch in the sequence of
// the communication tree; the first is the root. In view k the accounting node
// is number k mod n.
func (s *State) Order() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	ids := make([]string, len(s.meta.Order))
	for i := range ids {
		ids[i] = s.orderID(i)
	}
	return ids
}

// Network returns what the communication trees of the present epoch are built
// from, node k being Order()[k], and which nodes stand last because they failed
// as accounting nodes. Their trust values are the unchanged ones: who builds a
// tree counts the failed nodes as not trusted.
func (s *State) Network() (network *wct.Input, failed []bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	order := s.meta.places()
	failed = make([]bool, len(order))
	for k, i := range order {
		failed[k] = s.meta.Failed[i] > 0
	}
	network = picked(s.adopted(s.read, s.roster), order)
	for _, i := range order {
		network.IDs = append(network.IDs, s.roster.all[i].ID)
	}
	return network, failed
}

// Probes returns whom each data aggregator on probation forwards to, beside the tree
// of the present epoch.
func (s *State) Probes() map[string]string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	probes := make(map[string]string)
	for _, da := range s.roster.all {
		var st standing
		if da.Status == StatusMember && s.read(keyTrust+da.ID, &st) && st.Probe > 0 && int(st.Probe) <= len(s.roster.all) {
			probes[da.ID] = s.roster.all[st.Probe-1].ID
		}
	}
	return probes
}

// read reads one value; s.mu is held.
func (s *State) read(key string, v value) bool {
	b, ok := s.tree.get(key)
	return ok && decodeValue(b, v) == nil
}

func (s *State) orderID(i int) string { return s.roster.all[s.meta.Order[i]].ID }

// Entries returns the whole state in key order.
func (s *State) Entries() []Entry {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]Entry, 0, len(s.tree.items))
	for _, it := range s.tree.items {
		out = append(out, Entry{[]byte(it.key), it.value})
	}
	slices.SortFunc(out, func(a, b Entry) int { return strings.Compare(string(a.Key), string(b.Key)) })
	return out
}

// lookup reads one value. Values were checked when they were made or loaded,
// so an undecodable one counts as none.
func (s *State) lookup(key string, v value) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, ok := s.tree.get(key)
	return ok && decodeValue(b, v) == nil
}

// collect returns the values of a kind of key that keep accepts, in key order.
func collect[T any, P interface {
	*T
	value
}](s *State, prefix string, keep func(*T) bool,
) []T {
	s.mu.RLock()
	found := make([]*item, 0, len(s.tree.kinds[prefix]))
	for _, it := range s.tree.kinds[prefix] { // an item is never changed
		found = append(found, it)
	}
	s.mu.RUnlock()
	var out []T
	for _, v := range decodeSorted[T, P](found) {
		if keep(&v) {
			out = append(out, v)
		}
	}
	return out
}

// decodeSorted returns the values of items, in key order.
func decodeSorted[T any, P interface {
	*T
	value
}](found []*item) []T {
	slices.SortFunc(found, func(a, b *item) int { return strings.Compare(a.key, b.key) })
	var out []T
	for _, it := range found {
		var v T
		if decodeValue(it.value, P(&v)) == nil {
			out = append(out, v)
		}
	}
	return out
}

// Participant returns who is registered under id. Data aggregators are not
// participants; the genesis names them.
func (s *State) Participant(id string) (Participant, bool) {
	var p Participant
	ok := s.lookup(keyParticipant+id, &p)
	return p, ok
}

// Participants returns everyone registered, by id.
func (s *State) Participants() []Participant {
	return collect(s, keyParticipant, func(*Participant) bool { return true })
}

// Key returns the public key of a participant, for [seal.Open].
func (s *State) Key(id string) (ed25519.PublicKey, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	k, ok := s.keys[id]
	return k, ok
}

// Account returns a seller's or buyer's account.
func (s *State) Account(id string) (Account, bool) {
	var a Account
	ok := s.lookup(keyAccount+id, &a)
	return a, ok
}

// Balance returns what is in id's wallet, in millionths; 0 without an account.
func (s *State) Balance(id string) int64 {
	a, _ := s.Account(id)
	return a.WalletMicro
}

// Credit returns id's credibility in 1e-6; 0 without an account.
func (s *State) Credit(id string) int64 {
	a, _ := s.Account(id)
	return a.CreditE6
}

// Offers returns the standing offers by seller, without those of blacklisted
// sellers.
func (s *State) Offers() []Offer {
	return collect(s, keyOffer, func(o *Offer) bool {
		a, _ := s.Account(o.Seller)
		return !a.Blacklisted
	})
}

// Request returns a buyer's standing request.
func (s *State) Request(buyer, id string) (Request, bool) {
	var r Request
	ok := s.lookup(keyRequest+buyer+"/"+id, &r)
	return r, ok
}

// Requests returns the standing requests by buyer and id.
func (s *State) Requests() []Request {
	return collect(s, keyRequest, func(*Request) bool { return true })
}

// Trade returns a trade by its id, which is its Token's.
func (s *State) Trade(id string) (Trade, bool) {
	var t Trade
	ok := s.lookup(keyTrade+id, &t)
	return t, ok
}

// Trades returns the trades that filter accepts, by id; nil accepts all.
func (s *State) Trades(filter func(*Trade) bool) []Trade {
	if filter == nil {
		filter = func(*Trade) bool { return true }
	}
	return collect(s, keyTrade, filter)
}

// Cases returns what is open about trades, by trade.
func (s *State) Cases() []Case { return collect(s, keyCase, func(*Case) bool { return true }) }

// List returns who may not trade, by id, and the list's version, which rises with every
// change. Only chains with robust credit have one.
func (s *State) List() ([]Listing, uint64) {
	return collect(s, keyListed, func(*Listing) bool { return true }), s.now().ListVersion
}

// AccountAt returns an account as it is at a time: what robust credit has forgotten
// since it was last looked at is forgotten. The limit is how much it may promise in
// open trades; negative on a chain without such a bound.
func (s *State) AccountAt(id string, timeMs int64) (a Account, limitMicro int64, ok bool) {
	if a, ok = s.Account(id); !ok || !s.genesis.Params.robust() {
		return a, -1, ok
	}
	s.genesis.Params.fade(&a, s.genesis.period(timeMs))
	return a, s.genesis.Params.ExposureLimitMicro(&a), true
}

// GateOf returns a device's newest gate change.
func (s *State) GateOf(device string) (Gate, bool) {
	var g Gate
	ok := s.lookup(keyGate+device, &g)
	return g, ok
}

// ContactorOf returns what a seller has said that switches its power; unspecified
// where it has not.
func (s *State) ContactorOf(seller string) fairwattpb.Contactor {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if b, ok := s.tree.get(keyContactor + seller); ok && len(b) == 1 {
		return fairwattpb.Contactor(b[0])
	}
	return fairwattpb.Contactor_CONTACTOR_UNSPECIFIED
}

// Totals are sums over the whole state.
type Totals struct {
	Records        uint64 // in all blocks
	DepositedMicro int64  // by all deposits
	WalletsMicro   int64  // in all wallets, added up now
	EscrowMicro    int64  // in all escrows, added up now
	FundMicro      int64  // what meters differed by, and no one was paid
	HeldMicro      int64  // the part of it that open cases are about
	BondsMicro     int64  // in all bonds, added up now
	ReversedMicro  int64  // of deposits
	PaidOutMicro   int64  // by the bank
	OutMicro       int64  // in withdrawals that are not paid, added up now
	FeesMicro      int64  // for the grid
	TradesByStatus map[string]int
	// Conserved: no wallet, bond or escrow is negative, and wallets, escrow, bonds,
	// fund, fees and withdrawals are together what was deposited and has not gone again.
	Conserved bool
}

// Totals adds up the state.
func (s *State) Totals() Totals {
	m := s.now()
	t := Totals{Records: m.Records, DepositedMicro: m.DepositedMicro, FundMicro: m.FundMicro,
		ReversedMicro: m.ReversedMicro, PaidOutMicro: m.PaidOutMicro, FeesMicro: m.FeesMicro, TradesByStatus: make(map[string]int)}
	good, gaps := true, int64(0)
	for _, a := range collect(s, keyAccount, func(*Account) bool { return true }) {
		t.WalletsMicro += a.WalletMicro
		t.BondsMicro += a.BondMicro + a.LeavingMicro
		good = good && a.WalletMicro >= 0 && a.BondMicro >= 0 && a.LeavingMicro >= 0
	}
	for _, trade := range s.Trades(nil) {
		t.EscrowMicro += trade.EscrowMicro
		t.TradesByStatus[trade.Status]++
		gaps += trade.GapMicro
		good = good && trade.EscrowMicro >= 0
	}
	for _, one := range s.Slots() {
		_, bids := s.SlotOrders(one.StartMs)
		for _, o := range bids {
			t.EscrowMicro += o.PromisedMicro
			good = good && o.PromisedMicro >= 0
		}
	}
	for _, o := range collect(s, keyWithdrawal, func(*outflow) bool { return true }) {
		t.OutMicro += o.heldMicro()
	}
	for _, k := range s.Cases() {
		t.HeldMicro += k.HeldMicro()
	}
	if s.genesis.Params.robust() { // money leaves the fund again, and charges come into it
		good = good && t.HeldMicro == m.HeldMicro && t.HeldMicro <= t.FundMicro && t.BondsMicro == m.BondsMicro
	} else {
		good = good && gaps == t.FundMicro
	}
	in := t.WalletsMicro + t.EscrowMicro + t.FundMicro + t.BondsMicro + t.FeesMicro + t.OutMicro
	t.Conserved = good && in == t.DepositedMicro-t.ReversedMicro-t.PaidOutMicro && t.OutMicro == m.OutMicro &&
		t.WalletsMicro == m.WalletsMicro && t.EscrowMicro == m.EscrowMicro
	return t
}
