package word

import "fairwatt/proto/wire"

// A Guard takes each sealed command once. The zero value has taken none; as JSON it
// is what has to be kept.
type Guard struct {
	Owners map[string]Taken `json:"owners,omitempty"`
}

// Taken are the times of an owner's newest commands that were taken, Unix
// milliseconds of the owner's clock.
type Taken struct {
	Synced int64 `json:"synced,omitempty"` // by a synchronised clock
	// Blind is of blocks that were taken without one. It may lie anywhere, so it
	// must not keep later commands out.
	Blind int64 `json:"blind,omitempty"`
}

// Take says whether a command of an owner may have its effect now, and notes it. It
// returns nil or a Refusal.
func (g *Guard) Take(owner string, c *wire.Command, wallMs int64, synced bool) error {
	was := g.Owners[owner]
	switch {
	case !synced && c.Do != "block":
		return refuse(wire.CommandClockUnknown, "command: the device's clock is not synchronised, so it cannot tell this from an old %s; use its socket", c.Do)
	case synced && (c.IssuedMs < wallMs-wire.CommandSkewMs || c.IssuedMs > wallMs+wire.CommandSkewMs):
		return refuse(wire.CommandExpired, "command: issued %d s before the device's time; at most %d s apart; look at both clocks",
			(wallMs-c.IssuedMs)/1000, wire.CommandSkewMs/1000)
	case c.IssuedMs <= was.Synced, c.IssuedMs == was.Blind, !synced && c.IssuedMs < was.Blind:
		return refuse(wire.CommandReplayed, "command: one of %q with this or a later time was taken before; send a new one", owner)
	}
	if synced {
		was.Synced = c.IssuedMs
	} else {
		was.Blind = c.IssuedMs
	}
	next := make(map[string]Taken, len(g.Owners)+1)
	for name, t := range g.Owners {
		next[name] = t
	}
	next[owner] = was
	g.Owners = next
	return nil
}
