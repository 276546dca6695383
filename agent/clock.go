package agent

import (
	"time"

	"fairwatt/agent/view"
)

// A Clock is the two clocks of an agent.
type Clock struct {
	// SensingMs is the clock of ages, windows, timers, holds and deliveries:
	// milliseconds that never go back. Live it is monotonic time since the
	// start; in a replay or grid it is the trace's time.
	SensingMs func() int64
	// Wall is the clock of everything signed. time.Now is the one to hand in:
	// its monotonic reading lets the agent see the wall clock being stepped.
	Wall func() time.Time
	// Synced says whether the wall clock may be trusted (NTP or RTC). Without
	// that the agent judges and reports, but signs no trade. Nil is always.
	Synced func() bool
	// WorldMs is the time of day where the sensors are, Unix milliseconds, at
	// the start; nil is Wall's. In a replay or grid it is the trace's.
	WorldMs func() int64
	// Speed is sensing time in wall time, where a simulated world runs faster; 0 is
	// 1. It turns times to wait into times of day for people.
	Speed float64
}

// LiveClock is the clock of real hardware: monotonic since now.
func LiveClock(synced func() bool) Clock {
	start := time.Now()
	return Clock{
		SensingMs: func() int64 { return time.Since(start).Milliseconds() },
		Wall:      time.Now,
		Synced:    synced,
	}
}

// A moment is both clocks, read once.
type moment struct {
	sensingMs int64
	wall      time.Time
	synced    bool
	speed     float64
	steppedMs int64 // how far the wall clock was stepped since the last moment
}

func (m moment) wallMs() int64 { return m.wall.UnixMilli() }

// view is the time of a view made now.
func (m moment) view() view.Moment {
	return view.Moment{Wall: m.wall, Synced: m.synced, Speed: m.speed}
}

// stepLimit is how far wall and monotonic time may drift apart between two
// moments before it is called a step.
const stepLimit = 2 * time.Second

// A clockReader reads a Clock and notices what must not happen.
type clockReader struct {
	clock Clock
	last  moment
	began bool
}

// read returns the present moment. The sensing clock is held when it goes
// back; a step of the wall clock is reported in the moment.
func (r *clockReader) read() moment {
	m := moment{sensingMs: r.clock.SensingMs(), wall: r.clock.Wall(), synced: true, speed: r.clock.Speed}
	if r.clock.Synced != nil {
		m.synced = r.clock.Synced()
	}
	if r.began {
		m.sensingMs = max(m.sensingMs, r.last.sensingMs)
		// Sub uses the monotonic readings, Round(0) strips them.
		monotonic := m.wall.Sub(r.last.wall)
		wall := m.wall.Round(0).Sub(r.last.wall.Round(0))
		if step := wall - monotonic; step > stepLimit || step < -stepLimit {
			m.steppedMs = step.Milliseconds()
		}
	}
	r.last, r.began = m, true
	return m
}

// setWall tells the judge the time of day of the measured world, as soon as it is
// known. A clock that was never set would put noon into the night and yesterday's
// pressure into another month.
func (a *Agent) setWall() error {
	switch {
	case a.wallTold:
		return nil
	case a.deps.Clock.WorldMs != nil:
		a.wallTold = true
		return a.judge.SetWall(a.deps.Clock.WorldMs(), a.now.sensingMs)
	case a.now.synced:
		a.wallTold = true
		return a.judge.SetWall(a.now.wallMs(), a.now.sensingMs)
	}
	return nil
}
