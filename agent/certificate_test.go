package agent

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/proto/mqtt"
	"fairwatt/proto/wire"
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

// What is told of the certificate stands in the telemetry that goes out, and nothing does
// where there is none.
func TestTelemetryTellsOfTheCertificate(t *testing.T) {
	for name, left := range map[string]time.Duration{"none": 0, "ten days": 10*24*time.Hour + time.Hour, "over": -time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			w := newWatchedAgent(t)
			if left != 0 {
				ends := time.Now().Add(left)
				w.deps.CertificateEnds = func() time.Time { return ends }
			}
			told := make(chan map[string]uint64, 1024)
			w.pipe.Subscribe("fairwatt/v1/farm-1/pv-1/telemetry", func(m mqtt.Message) {
				var v wire.Telemetry
				if err := json.Unmarshal(m.Payload, &v); err != nil {
					t.Error(err)
				}
				told <- v.Counters
			})
			end := w.run()
			later(20 * time.Second)
			end()
			if len(told) == 0 {
				t.Fatalf("%s: no telemetry", name)
			}
			days, ok := (<-told)["certificate_days_left"]
			if want := uint64(max(left, 0) / (24 * time.Hour)); ok != (left != 0) || days != want {
				t.Errorf("%s: it tells of %d days: %v, want %d", name, days, ok, want)
			}
		})
	}
}
