package console

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// One client cannot take all event streams, and what it closes it gets back.
func TestStreamsOfOneClient(t *testing.T) {
	for remote, want := range map[string]int{"192.0.2.7:4711": 8, "[2001:db8::1]:1": 8, "127.0.0.1:9": 48, "[::1]:9": 48, "pipe": 8} {
		client, most := clientOf(&http.Request{RemoteAddr: remote}, 64)
		if most != want {
			t.Errorf("%s: %d streams, want %d", remote, most, want)
		}
		var c clients
		for k := range most {
			if !c.enter(client, most) {
				t.Fatalf("%s: refused with %d open", remote, k)
			}
		}
		if c.enter(client, most) || !c.enter("other", most) {
			t.Errorf("%s: one more was let in, or another was not", remote)
		}
		if c.leave(client); !c.enter(client, most) {
			t.Errorf("%s: no room after one ended", remote)
		}
		for range most {
			c.leave(client)
		}
		if c.leave("other"); len(c.open) != 0 {
			t.Errorf("%s: %v left", remote, c.open)
		}
	}
	if _, most := clientOf(&http.Request{RemoteAddr: "192.0.2.7:1"}, 1); most != 1 {
		t.Errorf("of one stream in all %d", most)
	}
}

// A page of which no block can come is not well, and says why; metrics tell of the
// members.
func TestHealthTellsOfAgreement(t *testing.T) {
	s := sample(0)
	s.Agreement = Agreement{Members: 4, Quorum: 3, Reachable: 2, Voting: true, LastVoteMs: 1500, Stuck: "no block can come: 2 of 4",
		Peers: []Peer{{ID: "da-2", Height: 7, HeardMs: 2000, Refused: 9, CutOffMs: s.TimeMs + 1}, {ID: "da-3", CutOffMs: s.TimeMs}}}
	h := New(newFixed(s), Options{}).Handler()
	if w := get(t, h, "/healthz"); w.Code != 503 || !strings.Contains(w.Body.String(), "no block can come: 2 of 4") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w := get(t, h, "/metrics")
	for _, want := range []string{"fairwatt_da_voting 1\n", "fairwatt_da_quorum 3\n", "fairwatt_da_members_reachable 2\n", "fairwatt_da_last_vote_timestamp_seconds 1.5\n",
		"fairwatt_da_peer_height{peer=\"da-2\"} 7\n", "fairwatt_da_peer_refused_total{peer=\"da-2\"} 9\n", "fairwatt_da_peer_cut_off{peer=\"da-2\"} 1\n", "fairwatt_da_peer_cut_off{peer=\"da-3\"} 0\n"} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("the metrics lack %q", want)
		}
	}
}

// From thirty days on healthz tells how long the certificate lasts, and it is not
// well when that is over.
func TestHealthTellsOfTheCertificate(t *testing.T) {
	const day = 24 * 60 * 60 * 1000
	for left, want := range map[int64]struct {
		code int
		told string
	}{30 * day: {200, ""}, 30*day - 1: {200, "ends in 29 days"}, 0: {200, "ends in 0 days"}, -1: {503, "has ended"}} {
		s := sample(0)
		s.TimeMs = 1_800_000_000_000
		s.CertificateEndsMs = s.TimeMs + left
		h := New(newFixed(s), Options{}).Handler()
		if w := get(t, h, "/healthz"); w.Code != want.code || strings.Contains(w.Body.String(), "ertificate") != (want.told != "") || !strings.Contains(w.Body.String(), want.told) {
			t.Errorf("%d ms left: %d %s", left, w.Code, w.Body)
		}
		if w := get(t, h, "/metrics"); !strings.Contains(w.Body.String(), "fairwatt_da_certificate_days_left ") {
			t.Error("the metrics lack the days left")
		}
		if w := get(t, h, "/metrics"); !strings.Contains(w.Body.String(), fmt.Sprintf("fairwatt_cert_expiry_seconds{id=%q} %v\n", s.DA, float64(left)/1000)) {
			t.Errorf("%d ms left: the metrics lack the seconds to the end", left)
		}
	}
}
