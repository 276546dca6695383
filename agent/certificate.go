package agent

import (
	"time"

	"fairwatt/proto/certfile"
)

// certificateDays returns the days that the TLS certificate lasts, for telemetry;
// false without one. It logs once a day when few are left.
func (a *Agent) certificateDays() (days int, ok bool) {
	if a.deps.CertificateEnds == nil {
		return 0, false
	}
	ends := a.deps.CertificateEnds()
	days = certfile.DaysLeft(ends, a.now.wall)
	if ends.Sub(a.now.wall) < certfile.Warn && a.now.wall.Sub(a.certWarned) >= 24*time.Hour {
		a.certWarned = a.now.wall
		a.log.Warn("the TLS certificate ends: put a new one in its place", "ends", ends, "days_left", days)
	}
	return days, true
}
