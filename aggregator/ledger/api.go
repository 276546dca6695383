package ledger

import (
	"crypto/ed25519"
	"errors"
	"sync"

	"fairwatt/proto/fairwattpb"
)

var errNotYet = errors.New("not yet")

type State struct {
	mu sync.RWMutex
}
type Staged struct{}

// HeaderFields is what the leader chooses of a block's header.
type HeaderFields struct {
	Epoch, View    uint64
	AccountingNode string
	TimeMs         int64
}

// A Checked is a record that passed the door.
type Checked struct {
	ID     [32]byte
	Sealed []byte
	Record *fairwattpb.Record
}

type Refusal struct{ Code, Reason string }

func (r *Refusal) Error() string { return r.Code + ": " + r.Reason }

type Dropped struct {
	ID      [32]byte
	Sealed  []byte
	Refusal *Refusal
	Later   bool // not refused, only no room in this block
}

type Change struct {
	Key, Value []byte
	Delete     bool
}
type Entry struct{ Key, Value []byte }

type Notice struct {
	To     string
	Index  int // of the record in the block; -1: a sweep
	Record []byte
	Trade  *fairwattpb.TradeNotice
}

type (
	Option  func(*options)
	options struct{ verified func(id [32]byte) bool }
)

// WithVerified: records whose signature the caller verified before.
func WithVerified(f func(id [32]byte) bool) Option { return func(o *options) { o.verified = f } }

func NewState(g *Genesis) (*State, error) { return nil, errNotYet }
func Restore(g *Genesis, height uint64, headerHash [32]byte, entries []Entry) (*State, error) {
	return nil, errNotYet
}
func (s *State) Genesis() *Genesis                           { return nil }
func (s *State) Height() uint64                              { return 0 }
func (s *State) HeaderHash() [32]byte                        { return [32]byte{} }
func (s *State) TimeMs() int64                               { return 0 }
func (s *State) Root() [32]byte                              { return [32]byte{} }
func (s *State) Epoch() uint64                               { return 0 }
func (s *State) EpochLastHeight() uint64                     { return 0 }
func (s *State) Order() []string                             { return nil }
func (s *State) CheckRecord(sealed []byte) (*Checked, error) { return nil, errNotYet }
func (s *State) Build(h HeaderFields, records [][]byte, opts ...Option) (*Staged, []Dropped, error) {
	return nil, nil, errNotYet
}
func (s *State) Verify(block []byte, opts ...Option) (*Staged, error) { return nil, errNotYet }

// VerifyCertified is Verify and the certificate.
func (s *State) VerifyCertified(cb *fairwattpb.CertifiedBlock, opts ...Option) (*Staged, error) {
	return nil, errNotYet
}
func (s *State) Commit(st *Staged) error { return errNotYet }

func (st *Staged) Block() []byte                   { return nil }
func (st *Staged) HeaderHash() [32]byte            { return [32]byte{} }
func (st *Staged) Header() *fairwattpb.BlockHeader { return nil }
func (st *Staged) RecordIDs() [][32]byte           { return nil }
func (st *Staged) Records() []*Checked             { return nil }
func (st *Staged) Outcomes() []*fairwattpb.Outcome { return nil }
func (st *Staged) Changes() []Change               { return nil }
func (st *Staged) Notices() []Notice               { return nil }
func (st *Staged) EndsEpoch() bool                 { return false }

type Participant struct {
	ID, Site     string
	Roles        []fairwattpb.Role
	PublicKey    string
	Simulated    bool
	MeterClassE4 uint32
}

type Account struct {
	WalletMicro  int64
	Kept, Broken uint64
	CreditE6     int64
	Blacklisted  bool
}

type Gate struct {
	Seq       uint64
	State     fairwattpb.GateState
	ChangedMs int64
}

type Offer struct {
	ID, Seller       string
	VolumeWh         int64
	PriceMicroPerKWh int64
	ExpiresMs        int64
}

type Request struct {
	ID, Buyer           string
	VolumeWh            int64
	MaxPriceMicroPerKWh int64
	ExpiresMs           int64
	Answered            bool
}

type Trade struct {
	ID, Buyer, Seller, RequestID, OfferID string
	Status                                string
	Held                                  bool // ever
	VolumeWh, PriceMicroPerKWh            int64
	EscrowMicro, PaidMicro, ReturnedMicro int64
	SellerMeteredWh, BuyerMeteredWh       int64
	BilledWh, BilledMicro                 int64
	Reason                                string
}

type Totals struct {
	DepositedMicro, WalletsMicro, EscrowMicro int64
	TradesByStatus                            map[string]int
	Conserved                                 bool
}

func (s *State) Participant(id string) (Participant, bool) { return Participant{}, false }
func (s *State) Account(id string) (Account, bool)         { return Account{}, false }
func (s *State) Balance(id string) int64                   { return 0 }
func (s *State) Credit(id string) int64                    { return 0 }
func (s *State) Offers() []Offer                           { return nil }
func (s *State) Requests() []Request                       { return nil }
func (s *State) Request(buyer, id string) (Request, bool)  { return Request{}, false }
func (s *State) Trade(id string) (Trade, bool)             { return Trade{}, false }
func (s *State) Trades(filter func(*Trade) bool) []Trade   { return nil }
func (s *State) GateOf(device string) (Gate, bool)         { return Gate{}, false }
func (s *State) Totals() Totals                            { return Totals{} }

// EscrowFor is what a Token for volumeWh at maxPrice has to hold, rounded up.
func EscrowFor(volumeWh, maxPriceMicroPerKWh int64) (int64, error) { return 0, errNotYet }

// BillAmount is price times energy rounded half even.
func BillAmount(energyWh, priceMicroPerKWh int64) (int64, error) { return 0, errNotYet }

// DecodeBlock
func DecodeBlock(block []byte) (header *fairwattpb.BlockHeader, headerHash [32]byte, records [][]byte, err error) {
	return nil, [32]byte{}, nil, errNotYet
}

type voters struct {
	chain  [32]byte
	keys   map[string]ed25519.PublicKey
	quorum int
}
