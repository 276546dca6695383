package main

import (
	"fmt"
	"math"
	"os"
	"strings"

	"fairwatt/model/nnet/skill"
)

// reliabilitySVG draws the network's probabilities against what came, on
// logarithmic axes, because hazards are rare. A bin without an event lies on the
// lower edge.
func reliabilitySVG(title string, bins []skill.Bin) string {
	const side, margin, decades = 400.0, 60.0, 4 // 0.0001 to 1
	at := func(v float64) float64 { return side * (1 + math.Log10(max(v, 1e-4))/decades) }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" font-family="sans-serif" font-size="13">`+"\n", side+2*margin, side+2*margin)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/><text x="%g" y="30">%s</text>`+"\n", margin, escape(title))
	fmt.Fprintf(&b, `<g transform="translate(%g,%g)">`+"\n", margin, margin)
	fmt.Fprintf(&b, `<rect width="%g" height="%g" fill="none" stroke="#999"/><path d="M0 %g L%g 0" stroke="#bbb" stroke-dasharray="4"/>`+"\n", side, side, side, side)
	for _, v := range []float64{0.001, 0.01, 0.1} {
		x := at(v)
		fmt.Fprintf(&b, `<path d="M%g 0 V%g M0 %g H%g" stroke="#eee"/><text x="%g" y="%g" text-anchor="middle">%g</text><text x="-6" y="%g" text-anchor="end">%g</text>`+"\n",
			x, side, side-x, side, x, side+18, v, side-x+4, v)
	}
	var path strings.Builder
	for i, bin := range bins {
		op := "L"
		if i == 0 {
			op = "M"
		}
		x, y := at(bin.Mean), side-at(bin.Frequency)
		fmt.Fprintf(&path, "%s%.1f %.1f ", op, x, y)
		fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="4" fill="#0a5"><title>%d rows, said %.4f, came %.4f</title></circle>`+"\n", x, y, bin.Rows, bin.Mean, bin.Frequency)
	}
	fmt.Fprintf(&b, `<path d="%s" fill="none" stroke="#0a5"/>`+"\n", strings.TrimSpace(path.String()))
	fmt.Fprintf(&b, `<text x="%g" y="%g" text-anchor="middle">probability said</text><text transform="translate(-42,%g) rotate(-90)" text-anchor="middle">share that came</text></g></svg>`+"\n",
		side/2, side+42, side/2)
	return b.String()
}

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}

func writeReliability(path string, r report) error {
	title := fmt.Sprintf("%s, %s: %d hours in %d equal bins", r.Head, r.Group, r.Rows, len(r.Reliability))
	return os.WriteFile(path, []byte(reliabilitySVG(title, r.Reliability)), 0o644)
}
