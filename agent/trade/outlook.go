package trade

const (
	outlookWhole = 10_000
	// outlookLeast keeps a seller that was wrong in the market.
	outlookLeast = outlookWhole / 4
	// outlookBack is the part of the way back that one good delivery's time makes.
	outlookBack = 4
)

// An outlook is how far a seller's own forecast can be trusted. The forecast says that
// the power stays as it is; the outlook compares it with what came, for the time of one
// delivery after the other, and promises that part of the next one. One that came short
// counts at once, better ones bring the trust back by steps.
type outlook struct {
	SinceMs    int64 `json:"since_ms,omitempty"`    // of the forecast that is being compared
	ForecastWh int64 `json:"forecast_wh,omitempty"` // 0: none is
	CameWhMs   int64 `json:"came_wh_ms,omitempty"`  // what came of it, times the delivery's time
	LostE4     int64 `json:"lost_e4,omitempty"`     // trust lost, in 1e-4
	lastMs     int64
	lastWh     int64
}

// step takes the forecast of this moment for one delivery.
func (o *outlook) step(nowMs, deliveryMs, expectedWh int64) {
	ran := nowMs - o.lastMs
	known := o.lastMs != 0 && ran >= 0 && ran <= deliveryMs
	wh := o.lastWh
	o.lastMs, o.lastWh = nowMs, expectedWh
	switch {
	case !known: // a start, or a gap of the clock: what came in it is not known
	case o.ForecastWh > 0:
		o.CameWhMs += min(wh, 1<<30) * ran
		if nowMs-o.SinceMs < deliveryMs {
			return
		}
		o.compare(nowMs)
	}
	o.SinceMs, o.ForecastWh, o.CameWhMs = nowMs, min(expectedWh, 1<<30), 0
}

func (o *outlook) compare(nowMs int64) {
	// Means over the time that really passed, which is a step longer.
	cameE4 := int64(float64(o.CameWhMs) / float64(nowMs-o.SinceMs) / float64(o.ForecastWh) * outlookWhole)
	lost := outlookWhole - max(outlookLeast, min(cameE4, outlookWhole))
	o.LostE4 = max(lost, o.LostE4-(o.LostE4+outlookBack-1)/outlookBack)
}

// promise is the part of a forecast that may be promised.
func (o *outlook) promise(expectedWh int64) int64 {
	return min(expectedWh, 1<<40) * (outlookWhole - o.LostE4) / outlookWhole
}
