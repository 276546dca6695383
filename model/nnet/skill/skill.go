package skill

import (
	"cmp"
	"math"
	"slices"
)

// HourMs is an hour; DayMs a day.
const (
	HourMs = int64(3_600_000)
	DayMs  = 24 * HourMs
)

// ranked sorts the scores from high to low and calls fn once per group of
// equal scores with its numbers of positives and negatives.
func ranked(p []float64, label []bool, fn func(positives, negatives float64)) {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(p[b], p[a]) })
	for i := 0; i < len(order); {
		j, pos := i, 0.0
		for ; j < len(order) && p[order[j]] == p[order[i]]; j++ {
			if label[order[j]] {
				pos++
			}
		}
		fn(pos, float64(j-i)-pos)
		i = j
	}
}

// AUC is the area under the ROC curve: the chance that a random positive row
// scores above a random negative one, ties counting one half. It is NaN
// without rows of both kinds.
func AUC(p []float64, label []bool) float64 {
	var pos, neg, above float64
	ranked(p, label, func(dp, dn float64) {
		above += dn * (pos + dp/2)
		pos += dp
		neg += dn
	})
	if pos == 0 || neg == 0 {
		return math.NaN()
	}
	return above / (pos * neg)
}

// AveragePrecision is the sum over thresholds of precision times the recall
// gained there (no interpolation). It is NaN without positive rows.
func AveragePrecision(p []float64, label []bool) float64 {
	var tp, n, sum float64
	ranked(p, label, func(dp, dn float64) {
		tp += dp
		n += dp + dn
		sum += dp * tp / n
	})
	if tp == 0 {
		return math.NaN()
	}
	return sum / tp
}

// Brier is the mean squared difference between probability and outcome.
func Brier(p []float64, label []bool) float64 {
	sum := 0.0
	for i, v := range p {
		if label[i] {
			v--
		}
		sum += v * v
	}
	return sum / float64(len(p))
}

// BaseRate is the share of positive rows.
func BaseRate(label []bool) float64 {
	n := 0
	for _, l := range label {
		if l {
			n++
		}
	}
	return float64(n) / float64(len(label))
}

// A Track is one site's evaluated rows in order of time, with its events.
type Track struct {
	TimeMs []int64
	P      []float64 // score of each row
	Onset  []int64   // start of each event in ms, rising
}

// Alarms is what a warning threshold would have meant.
type Alarms struct {
	Events      int // events with at least one evaluated row in the horizon before
	Caught      int // of these, with an alarm in the horizon before the onset
	Alarms      int // runs of rows at or above the threshold
	FalseAlarms int // runs of which no row was followed by an onset within the horizon
	AlarmHours  float64
	SiteDays    float64
	LeadMs      []int64 // of the events caught: from the first alarm within the horizon to the onset, sorted
}

// FalseAlarmsPerSiteDay is NaN without evaluated time.
func (a Alarms) FalseAlarmsPerSiteDay() float64 { return float64(a.FalseAlarms) / a.SiteDays }

// LeadQuantileMs returns the q quantile (nearest rank) of the leads, 0 when no
// event was caught.
func (a Alarms) LeadQuantileMs(q float64) int64 {
	if len(a.LeadMs) == 0 {
		return 0
	}
	i := int(math.Ceil(q*float64(len(a.LeadMs)))) - 1
	return a.LeadMs[max(i, 0)]
}

// Judge counts alarms at a threshold over all tracks. Runs of alarm rows are
// merged over gaps of up to the horizon, because the warning still holds there.
func Judge(tracks []Track, threshold float64, horizonMs int64) Alarms {
	var a Alarms
	for i := range tracks {
		a.addTrack(&tracks[i], threshold, horizonMs)
	}
	slices.Sort(a.LeadMs)
	return a
}

func (a *Alarms) addTrack(t *Track, threshold float64, horizonMs int64) {
	a.SiteDays += float64(len(t.TimeMs)) * float64(HourMs) / float64(DayMs)
	for _, onset := range t.Onset {
		lo, _ := slices.BinarySearch(t.TimeMs, onset-horizonMs)
		hi, _ := slices.BinarySearch(t.TimeMs, onset)
		if lo == hi {
			continue // nothing was evaluated in time
		}
		a.Events++
		for i := lo; i < hi; i++ {
			if t.P[i] >= threshold {
				a.Caught++
				a.LeadMs = append(a.LeadMs, onset-t.TimeMs[i])
				break
			}
		}
	}
	open, good, last := false, false, int64(0)
	closeRun := func() {
		if open && !good {
			a.FalseAlarms++
		}
		open, good = false, false
	}
	for i, at := range t.TimeMs {
		if t.P[i] < threshold {
			continue
		}
		a.AlarmHours++
		if open && at-last > horizonMs {
			closeRun()
		}
		if !open {
			open = true
			a.Alarms++
		}
		last = at
		next, _ := slices.BinarySearch(t.Onset, at+1)
		good = good || (next < len(t.Onset) && t.Onset[next] <= at+horizonMs)
	}
	closeRun()
}

// ThresholdFor returns the lowest of the scores at which there are at most
// perSiteDay false alarms a site-day. The number of false alarms is not
// monotone in the threshold (runs merge), so candidates are tried from high to
// low and the search ends at the first that exceeds the budget.
func ThresholdFor(tracks []Track, perSiteDay float64, horizonMs int64) float64 {
	var all []float64
	for i := range tracks {
		all = append(all, tracks[i].P...)
	}
	if len(all) == 0 {
		return 1
	}
	slices.Sort(all)
	best := math.Nextafter(all[len(all)-1], math.Inf(1))
	// 400 candidates over ranks, denser near the top: alarms are rare.
	for k := 1; k <= 400; k++ {
		u := float64(k) / 400
		rank := int(u * u * u * float64(len(all)))
		c := all[max(len(all)-1-rank, 0)]
		if c == best {
			continue
		}
		if Judge(tracks, c, horizonMs).FalseAlarmsPerSiteDay() > perSiteDay {
			break
		}
		best = c
	}
	return best
}
