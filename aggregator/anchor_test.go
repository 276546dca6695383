package aggregator_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"fairwatt/aggregator"
	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/aggregator/mc"
	"fairwatt/aggregator/peer"
)

// BenchmarkAnchor is BenchmarkDoor with links over TCP on loopback, TLS with
// certificates on both sides, so that another agreement can be measured beside it
// (tools/cometbft). FAIRWATT_PER_S is how many records a second it sends; without
// it, 2,000 records are in flight. It also reports how many bytes a record has.
func BenchmarkAnchor(b *testing.B) {
	perS, inFlight := 0, 2000
	if text := os.Getenv("FAIRWATT_PER_S"); text != "" {
		var err error
		if perS, err = strconv.Atoi(text); err != nil || perS < 1 {
			b.Fatalf("FAIRWATT_PER_S is %q, not records a second", text)
		}
		inFlight = 100_000
	}
	const senders = 40
	g := ledgertest.Genesis(4, senders, 0)
	listeners := listenFor(b, g)
	w := newTown(b, g)
	w.secureLinks(b, listeners)
	w.startAll()
	next := 0
	measure(b, w, senders, inFlight, perS, 1, func(ctx context.Context, _ int, sealed [][]byte) error {
		next++ // the DAs in turn
		return w.da(fmt.Sprintf("da-%d", next%4+1)).Submit(ctx, sealed[0])
	})
	b.ReportMetric(float64(len(sealGateChanges(b, w, 1, 1)[0])), "record_bytes")
	b.ReportMetric(float64(w.da("da-1").Stats().ViewChanges), "view_changes")
}

// listenFor opens a listener on loopback for each data aggregator and writes its
// address into the genesis, which the others go by.
func listenFor(b *testing.B, g *ledger.Genesis) map[string]net.Listener {
	b.Helper()
	listeners := map[string]net.Listener{}
	for i := range g.Aggregators {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		listeners[g.Aggregators[i].ID], g.Aggregators[i].Address = l, l.Addr().String()
	}
	return listeners
}

// secureLinks makes the links TCP on loopback with mutual TLS.
func (w *town) secureLinks(b *testing.B, listeners map[string]net.Listener) {
	b.Helper()
	now := time.Now()
	authority, err := mc.NewAuthority("bench", now)
	if err != nil {
		b.Fatal(err)
	}
	w.link = func(id string, _ aggregator.Link) aggregator.Link {
		cert, err := authority.IssueTLS(id, mc.RoleDA, nil, now)
		if err != nil {
			b.Fatal(err)
		}
		others := map[string]string{}
		for _, other := range w.g.DAs() {
			if other.ID != id {
				others[other.ID] = other.Address
			}
		}
		link, err := peer.NewGRPC(peer.Config{Self: id, Listener: listeners[id], Peers: others, TLS: mc.PeerTLS(cert, authority.Pool())})
		if err != nil {
			b.Fatal(err)
		}
		return link
	}
}
