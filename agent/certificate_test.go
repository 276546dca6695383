package agent

import (
	"log/slog"
	"strings"
	"testing"
	"time"
)

// Telemetry tells how long the certificate lasts; the log warns once a day from
// thirty days on.
func TestCertificateDays(t *testing.T) {
	var log strings.Builder
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	ends := start.Add(31 * 24 * time.Hour)
	a := &Agent{log: slog.New(slog.NewTextHandler(&log, nil))}
	if _, ok := a.certificateDays(); ok {
		t.Error("without a certificate it has days")
	}
	a.deps.CertificateEnds = func() time.Time { return ends }
	warned := 0
	for h := 0; h < 34*24; h++ {
		a.now.wall = start.Add(time.Duration(h) * time.Hour)
		log.Reset()
		days, ok := a.certificateDays()
		if want := 31 - (h+23)/24; !ok || days != want {
			t.Fatalf("after %d h: %d days, want %d", h, days, want)
		}
		if log.Len() > 0 {
			warned++
			if h <= 24 || (h-25)%24 != 0 {
				t.Errorf("warned after %d h", h)
			}
		}
	}
	if warned != 33 {
		t.Errorf("warned %d times, want 33", warned)
	}
}
