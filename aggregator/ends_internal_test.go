package aggregator

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/aggregator/peer"
	"fairwatt/proto/certfile"
)

// The log says once a day that the certificate ends, from the first look with less than thirty
// days left on, and goes on behind the end.
func TestTheLogTellsOfTheCertificate(t *testing.T) {
	var out bytes.Buffer
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	d := &DA{log: slog.New(slog.NewTextHandler(&out, nil)), deps: Deps{Now: func() time.Time { return now }}}
	d.warnOfEnd() // it has none
	ends := now.Add(certfile.Warn + 24*time.Hour)
	d.deps.CertificateEnds = func() time.Time { return ends }
	for h := range 33 * 24 {
		out.Reset()
		d.warnOfEnd()
		want := h >= 48 && h%24 == 0
		if told := out.String(); (told != "") != want || want && !strings.Contains(told, fmt.Sprint(" days_left=", 31-h/24, "\n")) {
			t.Errorf("after %d h, told %v: %s", h, want, told)
		}
		now = now.Add(time.Hour)
	}
}

// The page has the end of the certificate, for healthz and the metrics.
func TestThePageHasTheEndOfTheCertificate(t *testing.T) {
	ends := time.UnixMilli(1_900_000_000_000)
	d, err := New(Config{ID: "da-1", Dir: t.TempDir()}, Deps{
		Genesis: ledgertest.Genesis(4, 1, 1), Key: ledgertest.Key("da-1"), Link: peer.NewMemory(peer.MemoryConfig{Seed: 1}).Join("da-1"),
		CertificateEnds: func() time.Time { return ends }, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := d.page.Snapshot().CertificateEndsMs; got != ends.UnixMilli() {
		t.Errorf("the page says %d, want %d", got, ends.UnixMilli())
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}
