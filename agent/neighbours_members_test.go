package agent

import (
	"crypto/ed25519"
	"maps"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/proto/nowcast"
)

// TestNeighboursOfTheMembersOfNow: a data aggregator that has joined vouches for a
// neighbour, and one that has left does so no more, also by what it said before.
func TestNeighboursOfTheMembersOfNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRegionSite(t, ShareOn)
		s.start()
		s.wait(5 * time.Second)
		s.deliver("da-1", s.neighbour("pv-7", testKey(7), nil)) // one word of two that are needed
		s.wait(3 * time.Second)
		s.das["da-5"] = testKey(55)
		now := maps.Clone(s.chain.DAs)
		delete(now, "da-1")
		now["da-5"] = testKey(55).Public().(ed25519.PublicKey)
		s.chain.turn(now)
		s.deliver("da-2", s.neighbour("pv-7", testKey(7), nil))
		s.wait(3 * time.Second)
		if v := s.ear.heard(); !math.IsNaN(v) {
			t.Errorf("it hears %v on the word of one that has left", v)
		}
		s.deliver("da-1", s.neighbour("pv-7", testKey(7), nil))
		s.wait(3 * time.Second)
		if n := s.refused()[nowcast.CodeUnknown]; n != 1 {
			t.Errorf("refused %v, want one of a stranger", s.refused())
		}
		s.deliver("da-5", s.neighbour("pv-7", testKey(7), nil))
		s.wait(3 * time.Second)
		if v := s.ear.heard(); math.IsNaN(v) {
			t.Errorf("one that has joined is not heard; refused %v", s.refused())
		}
		s.end()
	})
}
