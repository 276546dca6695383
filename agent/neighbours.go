package agent

import (
	"fmt"
	"time"

	"fairwatt/model/neighbours"
	"fairwatt/proto/brief"
	"fairwatt/proto/nowcast"
	"fairwatt/proto/wire"
)

// What a device tells its neighbours.
const (
	ShareOn       = "on"       // its weather, from a rounded position
	SharePosition = "position" // that it is there, so that it is told of others
	ShareOff      = "off"      // nothing; what was told before is taken back
)

// NeighboursConfig is the privacy switch, and how far others are listened to.
// Without it a device shares nothing and hears nothing.
type NeighboursConfig struct {
	Share string `yaml:"share"` // on, position, off
	// StepDeg is what the position is rounded to; default 0.05 degrees, 5.6 km from
	// north to south.
	StepDeg float64 `yaml:"step_deg"`
	// WithinKM is how far away a neighbour may be; default 600.
	WithinKM float64 `yaml:"within_km"`
}

func (c *NeighboursConfig) fill() {
	if c.StepDeg == 0 {
		c.StepDeg = 0.05
	}
	if c.WithinKM == 0 {
		c.WithinKM = neighbours.ThunderKM
	}
}

func (c *NeighboursConfig) validate(all *Config) error {
	switch {
	case c.Share != ShareOn && c.Share != SharePosition && c.Share != ShareOff:
		return &ConfigError{"neighbours.share", fmt.Sprintf("%.60q; use on, position or off", c.Share)}
	// The comparisons are written so that NaN fails them.
	case !(c.StepDeg >= 0.01 && c.StepDeg <= 1):
		return &ConfigError{"neighbours.step_deg", fmt.Sprintf("%g; use 0.01 to 1", c.StepDeg)}
	case !(c.WithinKM >= 1 && c.WithinKM <= neighbours.ThunderKM):
		return &ConfigError{"neighbours.within_km", fmt.Sprintf("%g; use 1 to %g", c.WithinKM, neighbours.ThunderKM)}
	case c.Share == ShareOff:
		return nil
	case all.Location == nil:
		return &ConfigError{"neighbours", "who is near could not be known; add location, or share: off"}
	case all.Genesis == "":
		return &ConfigError{"neighbours", "no one could know whose nowcast it is; add genesis, or share: off"}
	}
	// A network that blocks would let a neighbour close the gate, and open it by
	// telling of calm.
	for kind, limit := range all.Judge.Score.Kinds {
		if limit.Block > 0 {
			return &ConfigError{"neighbours", brief.Sprintf("judge.score.kinds.%s.block %g lets the network close the gate, and neighbours may only warn; leave it out, or share: off", kind, limit.Block)}
		}
	}
	return nil
}

// shares says whether anything is told.
func (c *NeighboursConfig) shares() bool { return c != nil && c.Share != ShareOff }

// A region is what the loop knows of the neighbours. It owns all but the listener.
type region struct {
	cfg      NeighboursConfig
	position neighbours.Position
	set      *neighbours.Set
	listener *listener
	lastTold time.Time
	told     uint64
}

// newRegion returns nil where nothing is shared.
func newRegion(cfg *Config, deps *Deps) *region {
	if !cfg.Neighbours.shares() || deps.Chain == nil || cfg.Location == nil {
		return nil
	}
	at := neighbours.Position{LatitudeDeg: cfg.Location.Latitude, LongitudeDeg: cfg.Location.Longitude}
	return &region{
		cfg: *cfg.Neighbours, position: at, set: neighbours.NewSet(cfg.Device, at, cfg.Neighbours.WithinKM),
		listener: newListener(cfg, deps),
	}
}

// hear takes what the listener found to be its neighbours', and tells the judge what
// they say together. The network may warn by it; nothing else reads it.
func (a *Agent) hear() {
	r := a.region
	if r == nil {
		return
	}
	for more := true; more; {
		select {
		case n := <-r.listener.heard:
			if err := r.set.Put(n.Nowcast, a.now.wallMs()); err != nil {
				r.listener.refuse(err)
			} else {
				r.listener.taken.Add(1)
			}
		default:
			more = false
		}
	}
	var said neighbours.Heard
	if a.now.synced { // else no one knows how old it is
		said = r.set.Heard(a.now.wallMs())
	}
	a.judge.Hear(a.now.sensingMs, &said)
}

// tellEvery is a time of the sensing clock in time of the wall's.
func (m moment) tellEvery(ms int64) time.Duration {
	speed := m.speed
	if speed == 0 {
		speed = 1
	}
	return time.Duration(float64(ms) / speed * float64(time.Millisecond))
}

// tellNeighbours publishes this place's weather when it is due. A clock that is
// not known says nothing: no one could tell how old it is.
func (a *Agent) tellNeighbours() error {
	r := a.region
	if r == nil || !a.stepped || !a.now.synced || !due(a.now.wall, &r.lastTold, a.now.tellEvery(nowcast.EveryMs)) {
		return nil
	}
	n := neighbours.Nowcast{
		Position: r.position.Coarse(r.cfg.StepDeg), MadeAtMs: a.now.wallMs(),
		ValidUntilMs: a.now.wallMs() + a.now.tellEvery(nowcast.ValidMs).Milliseconds(),
	}
	if r.cfg.Share == ShareOn {
		n.Weather = a.judge.Nowcast()
	}
	sealed, err := nowcast.Seal(a.deps.Key, a.deps.Chain.ID, a.publisher.topics, n, a.cfg.Simulated)
	if err != nil {
		return err
	}
	r.told++
	a.publisher.set(wire.ClassNowcast, 1, true, sealed)
	return nil
}

// withdraw takes back what a former run, or this one, has told: an empty message
// clears what the broker keeps.
func (a *Agent) withdraw() { a.publisher.set(wire.ClassNowcast, 1, true, nil) }

// countNeighbours adds what became of nowcasts to the counters of telemetry.
func (a *Agent) countNeighbours(counters map[string]uint64) {
	if a.region == nil {
		return
	}
	counters["nowcasts_told"], counters["nowcasts_taken"] = a.region.told, a.region.listener.taken.Load()
	counters["neighbours"] = uint64(a.region.set.Heard(a.now.wallMs()).Speakers)
	a.region.listener.mu.Lock()
	defer a.region.listener.mu.Unlock()
	for code, n := range a.region.listener.refused {
		counters["nowcasts_refused_"+code] = n
	}
}
