package page

import (
	"fairwatt/aggregator/console"
	"fairwatt/aggregator/exchange"
	"fairwatt/model/neighbours"
	"fairwatt/proto/nowcast"
)

// Nowcasts is what the page shows of what agents tell each other of the weather.
type Nowcasts interface {
	Stats() exchange.Stats
	Newest() []*nowcast.Signed
}

// maxShownNowcasts bounds the senders on the page.
const maxShownNowcasts = 256

// nowcasts is nothing without an exchange.
func nowcasts(from Nowcasts) console.Nowcasts {
	out := console.Nowcasts{Senders: []console.Nowcast{}, Refused: map[string]uint64{}}
	if from == nil {
		return out
	}
	s := from.Stats()
	out.Count, out.Taken, out.Duplicates, out.Dropped = s.Senders, s.Taken, s.Duplicates, s.Dropped
	out.Deliveries, out.Handed, out.Refused = s.Deliveries, s.Handed, s.Refused
	out.LastRefused, out.LastRefusedMs = clip(s.Last.Text), unixMs(s.Last.At)
	for _, n := range from.Newest() {
		if len(out.Senders) == maxShownNowcasts {
			break
		}
		shown := console.Nowcast{
			ID: n.From.Device, Site: n.From.Site, Latitude: n.Position.LatitudeDeg, Longitude: n.Position.LongitudeDeg,
			MadeMs: n.MadeAtMs, GustRatio: known(n.GustRatio), ChangeHPa: known(n.PressureChange3hHPa), Strokes3h: n.Strokes3h, Simulated: n.Simulated,
		}
		if n.Thunder && n.ThunderAgoMs < neighbours.ThunderBackMs {
			shown.ThunderAgoMs = &n.ThunderAgoMs
		}
		out.Senders = append(out.Senders, shown)
	}
	return out
}

func known(v neighbours.Optional) *float64 {
	if !v.OK {
		return nil
	}
	return &v.V
}
