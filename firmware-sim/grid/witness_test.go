package grid

import (
	"testing"
	"time"

	"fairwatt/firmware-sim/board"
)

// A relay that is closed under a gate that is not open is a violation, once for
// each span that is longer than a tick.
func TestViolations(t *testing.T) {
	begin := time.Unix(1_700_000_000, 0)
	at := func(s float64) time.Time { return begin.Add(time.Duration(s * float64(time.Second))) }
	relay := func(times ...float64) (out []board.RelayEvent) {
		for i, s := range times {
			out = append(out, board.RelayEvent{Wall: at(s), Closed: i%2 == 0})
		}
		return out
	}
	gates := func(times ...float64) (out []gateMoment) {
		for i, s := range times {
			out = append(out, gateMoment{open: i%2 == 0, at: at(s)})
		}
		return out
	}
	for _, c := range []struct {
		what  string
		relay []board.RelayEvent
		gates []gateMoment
		want  int
	}{
		{"nothing happens", nil, nil, 0},
		{"closed while open", relay(2, 3), gates(1, 4), 0},
		{"closed before the gate was ever open", relay(2, 4), nil, 1},
		{"opened within the tick", relay(2, 5), gates(1, 4), 0},
		{"opened a moment after it", relay(2, 5.001), gates(1, 4), 1},
		{"closed before the gate opens", relay(2, 9), gates(4, 9), 1},
		{"never opened", relay(2), gates(1, 4), 1},
		{"closed until the gate opens again", relay(2, 9), gates(1, 4, 6, 9), 1},
		{"two spans", relay(2, 5, 5.5, 8), gates(0, 1), 2},
		{"open at the end", relay(2), gates(1), 0},
		{"both at one moment", relay(2, 4), gates(2, 4), 0},
	} {
		if got := violations(c.relay, c.gates, at(10), time.Second); got != c.want {
			t.Errorf("%s: %d, want %d", c.what, got, c.want)
		}
	}
}
