package grid

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"

	"fairwatt/agent"
	"fairwatt/aggregator/ledger"
	"fairwatt/firmware-sim/board"
	"fairwatt/proto/fairwattpb"
)

// The traders that a run can have beside the honest ones (--misbehave).
const (
	NoStart      = "no-start"
	NoBill       = "no-bill"
	Tamper       = "tamper"
	TamperHalf   = "tamper-half"
	Skim         = "skim"
	Short        = "short"
	FalseReady   = "false-ready"
	OnOff        = "on-off"
	HoldAbuse    = "hold-abuse"
	HoldOften    = "hold-often"
	OwnWitness   = "own-witness"
	FalseWarning = "false-warning"
	FalseClear   = "false-clear"
	Replay       = "replay"
	LatePayer    = "late-payer"
	SilentBuyer  = "silent-buyer"
	HidingBuyer  = "hiding-buyer"
	RefuseToTake = "refuse-to-take"
	DoubleSpend  = "double-spend"
	Squat        = "squat"
	Wash         = "wash"
	Sybil        = "sybil"

	// Of an auction's slots:
	SilentAsker  = "silent-asker"
	OverAsker    = "over-asker"
	SilentBidder = "silent-bidder"
	UnderTaker   = "under-taker"
)

// A crime is one kind of culprit: what it does, and with how many names.
type crime struct {
	kind, what    string
	sells, buys   bool
	bond          bool // it has a bond, as the honest ones
	amongItself   bool // its buyer pays its own seller only
	second        bool // it has another name at its site, which sells nothing
	maySucceedNot bool // the chain lets it do nothing, so that it has no trade
	slots         bool // it trades by slots, and the others do not
}

var crimes = []crime{
	{kind: NoStart, what: "is paid and never starts", sells: true, bond: true},
	{kind: NoBill, what: "starts, delivers nothing, never bills", sells: true, bond: true},
	{kind: Tamper, what: "delivers nothing and invents its register", sells: true, bond: true},
	{kind: TamperHalf, what: "delivers half and invents the rest", sells: true, bond: true},
	{kind: Skim, what: "bills two in a hundred more than it delivers", sells: true, bond: true},
	{kind: Short, what: "delivers a half, and bills that", sells: true, bond: true},
	{kind: FalseReady, what: "delivers nothing and says that it was ready", sells: true, bond: true},
	{kind: OnOff, what: "is honest in every other trade, and never starts in the rest", sells: true, bond: true},
	{kind: HoldAbuse, what: "closes its gate without a hazard, and bills nothing", sells: true, bond: true},
	{kind: HoldOften, what: "delivers every other trade, and closes its gate without a hazard in the rest", sells: true, bond: true},
	{kind: OwnWitness, what: "the same, and a second name of its own bears it out", sells: true, bond: true, second: true},
	{kind: FalseWarning, what: "the same, with warnings of its own, of another place, and that are over", sells: true, bond: true},
	{kind: FalseClear, what: "starts on its own all-clear, while the chain says BLOCKED", sells: true, bond: true},
	{kind: Replay, what: "delivers, and sends its bill again and again", sells: true, bond: true},
	{kind: LatePayer, what: "asks for Tokens and lets them run out", buys: true, bond: true, maySucceedNot: true},
	{kind: SilentBuyer, what: "takes the energy and reports nothing", buys: true, bond: true},
	{kind: HidingBuyer, what: "takes the energy, and its meter shows nothing of it", buys: true, bond: true},
	{kind: RefuseToTake, what: "pays and draws nothing from a ready seller", buys: true, bond: true},
	{kind: DoubleSpend, what: "pays twice with one Token", buys: true, bond: true},
	{kind: Squat, what: "names a seller's meter as its own", buys: true, bond: true, maySucceedNot: true},
	{kind: Wash, what: "trades with itself on paper, for the credit of it", sells: true, buys: true, bond: true, amongItself: true},
	{kind: Sybil, what: "the same with names that have no bond", sells: true, buys: true, amongItself: true, maySucceedNot: true},
	{kind: SilentAsker, what: "sells a slot and does not say what its meter showed", sells: true, bond: true, slots: true},
	{kind: OverAsker, what: "sells twice what it gives", sells: true, bond: true, slots: true},
	{kind: SilentBidder, what: "buys a slot and does not say what its meter showed", buys: true, bond: true, slots: true},
	{kind: UnderTaker, what: "buys twice what it draws", buys: true, bond: true, slots: true},
}

// culpritKinds are those that trade by slots, or those that do not.
func culpritKinds(slots bool) (kinds []string) {
	for _, c := range crimes {
		if c.slots == slots {
			kinds = append(kinds, c.kind)
		}
	}
	return kinds
}

const (
	culpritVolumeWh  = 2_000
	culpritPrice     = basePriceMicro / 2     // a kWh: buyers choose it first
	culpritHighPrice = maxPriceMicro + 50_000 // nobody else pays that
)

// judges are the arbiters of a chain with robust credit.
var judges = []string{"judge-1", "judge-2"}

// A culprit is a trader without an agent: it sends what it likes. One that buys has a
// house with a meter, through which energy really flows.
type culprit struct {
	crime
	id, meter string
	site      string
	seller    bool     // of a kind with two names, this one sells
	witness   *culprit // its second name, which does what this one has it do; nil: none
	idle      bool     // this is one
	house     *house
	key       ed25519.PrivateKey

	counter    uint64
	registerWh int64 // what it says that its meter shows
	gateSeq    uint64
	blocked    bool
	orders     int // offers or requests so far
	trades     int // begun
	trade      string
	done       map[string]bool // things done once, of a trade
	bill       []byte          // the newest, sealed
	idleFromMs int64
	slotMs     int64 // the newest slot for which it has an order
}

// makeCulprits makes the keys, boards and houses of the culprits that the configuration
// asks for.
func (g *grid) makeCulprits() error {
	for _, kind := range crimes {
		if !g.cfg.misbehaves(kind.kind) {
			continue
		}
		for _, seller := range []bool{true, false} {
			if seller && !kind.sells || !seller && !kind.buys {
				continue
			}
			c, err := g.newCulprit(kind, seller)
			if err != nil {
				return err
			}
			g.culprits = append(g.culprits, c)
			if !kind.second || !seller {
				continue
			}
			if c.witness, err = g.newCulprit(kind, true); err != nil {
				return err
			}
			w := c.witness
			w.id, w.idle = c.id+"-witness", true
			w.meter = agent.MeterID(w.id, "meter")
			g.culprits = append(g.culprits, w)
		}
	}
	return nil
}

func (g *grid) newCulprit(kind crime, seller bool) (*culprit, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a culprit's key: %w", err)
	}
	c := &culprit{crime: kind, seller: seller, id: "culprit-" + kind.kind, key: key, done: make(map[string]bool)}
	if !seller && kind.sells {
		c.id += "-buyer"
	}
	c.meter, c.site = agent.MeterID(c.id, "meter"), "site-"+c.id
	if kind.slots && seller {
		g.world.slots.gives[c.meter] = culpritPowerW
	}
	if seller || kind.amongItself {
		return c, nil
	}
	layout, sensors := houseBoard()
	c.house = &house{id: c.id, refuses: kind.kind == RefuseToTake, pins: map[string]string{c.meter: sensors[0].Describe().Address}}
	if c.house.board, err = board.New(layout); err != nil {
		return nil, fmt.Errorf("board of %s: %w", c.id, err)
	}
	g.world.houses[c.id] = c.house
	return c, nil
}

// openingOf is the wallet that a culprit begins with, and its bond.
func (g *grid) openingOf(c *culprit) (walletMicro, bondMicro int64) {
	if !c.seller {
		walletMicro = openingBalance
	}
	if c.bond && g.cfg.credit() == ledger.CreditRobust {
		bondMicro = openingBond
	}
	return walletMicro, bondMicro
}

// enrolCulprit registers a culprit as anyone else; the centre knows of nothing.
func (g *grid) enrolCulprit(ctx context.Context, c *culprit) error {
	role, way := fairwattpb.Role_ROLE_SELLER, fairwattpb.MeterDirection_METER_DIRECTION_EXPORT
	if !c.seller {
		role, way = fairwattpb.Role_ROLE_BUYER, fairwattpb.MeterDirection_METER_DIRECTION_IMPORT
	}
	err := g.register(ctx, &fairwattpb.Registration{Id: c.id, Site: c.site, Roles: []fairwattpb.Role{role}}, c.key)
	if err == nil && g.cfg.Settlement == ledger.SettleByMeters {
		err = g.centre.RegisterMeter(ctx, &fairwattpb.MeterRegistration{
			Meter: c.meter, Owner: c.id, Site: c.site, Direction: way, Serial: c.meter,
			ClassE4: gridMeterClassE4, RatedW: ledger.MaxRatedW,
		})
	}
	wallet, bond := g.openingOf(c)
	if err == nil && bond > 0 {
		err = g.centre.Deposit(ctx, &fairwattpb.Deposit{To: c.id, AmountMicro: bond, Reference: "bond-" + c.id, Bond: true})
	}
	if err == nil && wallet > 0 {
		err = g.centre.Deposit(ctx, &fairwattpb.Deposit{To: c.id, AmountMicro: wallet, Reference: "opening-" + c.id})
	}
	if err != nil {
		return fmt.Errorf("register %s: %w", c.id, err)
	}
	return nil
}

// culprit is the one of an id; nil for an honest participant.
func (g *grid) culprit(id string) *culprit {
	for _, c := range g.culprits {
		if c.id == id {
			return c
		}
	}
	return nil
}
