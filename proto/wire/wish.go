package wire

// The sides of a device's trades, as its owner speaks of them.
const (
	SideSell = "sell"
	SideBuy  = "buy"
)

// A Wish is what the owner wants of one side of a device's trades, beside the
// configuration. The zero value wants what is configured.
type Wish struct {
	Paused bool `json:"paused,omitempty"`  // what runs is finished, nothing new is begun
	DryRun bool `json:"dry_run,omitempty"` // says what it would do, and does not
	// PriceMicroPerKWh is the price of a sale, or the highest of a purchase, in
	// millionths per kWh; 0 for the configuration's. ByHour holds at an hour of the
	// local day, where it is not 0.
	PriceMicroPerKWh int64     `json:"price_micro_per_kwh,omitempty"`
	ByHour           [24]int64 `json:"by_hour_micro_per_kwh,omitzero"`
	// Hours has a bit for each hour of the local day in which something new may begin,
	// bit 0 for midnight; 0 for all.
	Hours   uint32 `json:"hours,omitempty"`
	DailyWh int64  `json:"daily_wh,omitempty"` // most in a local day; 0: no limit
	// ReserveW is power that is kept from sale, ReserveMicro money that is kept in the
	// wallet.
	ReserveW     int64 `json:"reserve_w,omitempty"`
	ReserveMicro int64 `json:"reserve_micro,omitempty"`
}

// A WishChange changes what is set in it.
type WishChange struct {
	Side             string  `json:"side"` // sell or buy
	Paused           *bool   `json:"paused,omitempty"`
	DryRun           *bool   `json:"dry_run,omitempty"`
	PriceMicroPerKWh *int64  `json:"price_micro_per_kwh,omitempty"` // 0: as before there was a wish
	PriceHours       uint32  `json:"price_hours,omitempty"`         // the price is for these hours; 0: for all
	Hours            *uint32 `json:"hours,omitempty"`
	DailyWh          *int64  `json:"daily_wh,omitempty"`
	Reserve          *int64  `json:"reserve,omitempty"` // W of a seller, micro of a buyer
}

// Wishes are those of both sides.
type Wishes struct {
	Sell Wish `json:"sell,omitzero"`
	Buy  Wish `json:"buy,omitzero"`
}

// A PastTrade is a trade of the device that has ended.
type PastTrade struct {
	TS               Time   `json:"ts"`
	Height           uint64 `json:"height"` // of the block that ended it
	Trade            string `json:"trade"`
	Side             string `json:"side"` // sell or buy
	With             string `json:"with"`
	VolumeWh         int64  `json:"volume_wh"` // agreed
	EnergyWh         int64  `json:"energy_wh"` // paid
	PriceMicroPerKWh int64  `json:"price_micro_per_kwh"`
	PaidMicro        int64  `json:"paid_micro"`
	ReturnedMicro    int64  `json:"returned_micro"` // to the buyer
	Status           string `json:"status"`
	Reason           string `json:"reason,omitempty"`
	// Passed are the offers that the payment named before this one and could not have, and why.
	Passed string `json:"passed,omitempty"`
}

// A Purse is what a device has on the chain, as f+1 data aggregators said.
type Purse struct {
	Height       uint64 `json:"height"` // of the block that last changed it
	TS           Time   `json:"ts"`     // when the device heard of it
	WalletMicro  int64  `json:"wallet_micro"`
	BondMicro    int64  `json:"bond_micro"`
	LeavingMicro int64  `json:"leaving_micro"` // asked back or on its way to the bank
	OwedMicro    int64  `json:"owed_micro"`    // fines that it could not pay
}

// Trading is what a device says of its trades to its owner.
type Trading struct {
	Wishes Wishes      `json:"wishes"`
	Purse  *Purse      `json:"purse,omitempty"` // nil: nothing heard yet
	Ended  []PastTrade `json:"ended,omitempty"` // the newest last; in an answer to history only
}
