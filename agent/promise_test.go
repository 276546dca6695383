package agent

import (
	"context"
	"crypto/ed25519"
	"errors"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"fairwatt/model"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/mqtt/mqtttest"
	"fairwatt/proto/seal"
)

// No energy flows for a trade after the agent has stopped: a clean stop opens
// the contactor.
func TestCleanStopOpensTheContactor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := &mqtttest.Broker{}
		p := newPlant(t)
		w := newTown(t, broker.Pipe(mqtt.Will{}))
		w.open()
		defer w.pipe.Close()
		cfg := testConfig(t, "pv-1")
		cfg.Sell = &SellConfig{Meter: meterName(t), PriceMicroPerKWh: 200_000, MinWh: 10, MaxWh: 1000, DeliveryH: 1, OfferTTL: time.Hour}
		contactor := &spyContactor{plant: p, pin: "S0-1"}
		a := liveAgent(t, cfg, p, filepath.Join(t.TempDir(), "a.db"), w.chain, contactor, broker.Pipe(WillOf(&cfg)))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go p.run(ctx)
		go func() { done <- a.Run(ctx) }()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		w.tell("pv-1", payRecord("token-1", w.log[len(w.log)-1].GetOffer().GetOfferId(), 800), nil)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if contactor.closed != "token-1" {
			t.Fatalf("no delivery runs: records %v", w.kinds())
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if contactor.closed != "" {
			t.Errorf("the agent has stopped and the contactor is closed for %s", contactor.closed)
		}
	})
}

// An attestation is valid for as long as a gate view, and never for longer than
// the chain allows: the ledger would refuse every Start.
func TestAttestationIsCutToTheChainsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLiveSite(t)
		w := newTown(t, s.broker.Pipe(mqtt.Will{}))
		w.open()
		defer w.pipe.Close()
		s.chain, s.key = w.chain, testKey(1)
		s.open()
		s.end() // from here on the agent is the test's; its gate stays as it was
		for _, c := range []struct{ limitMs, wantMs int64 }{{0, 90_000}, {1, 1}, {30_000, 30_000}, {89_999, 89_999}, {90_000, 90_000}, {90_001, 90_000}} {
			w.chain.Params.AttestationMaxMs = c.limitMs
			sealed, err := s.agent.attest()
			if err != nil {
				t.Fatal(err)
			}
			signer, payload, err := seal.Open(sealed, seal.DomainAttestation, w.chain.ID, func(string) (ed25519.PublicKey, bool) {
				return testKey(1).Public().(ed25519.PublicKey), true
			})
			if err != nil {
				t.Fatal(err)
			}
			var got fairwattpb.GateAttestation
			if err := proto.Unmarshal(payload, &got); err != nil {
				t.Fatal(err)
			}
			if valid := got.GetValidUntilMs() - got.GetIssuedMs(); valid != c.wantMs {
				t.Errorf("the chain allows %d ms: valid for %d ms, want %d", c.limitMs, valid, c.wantMs)
			}
			if signer != "pv-1" || got.GetDevice() != "pv-1" || got.GetState() != fairwattpb.GateState_GATE_STATE_OPEN || got.GetGateSeq() == 0 || string(got.GetChainId()) != string(w.chain.ID[:]) {
				t.Errorf("attested by %s: %v", signer, &got)
			}
		}
	})
}

func TestClosedGateIsNotAttested(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLiveSite(t)
		s.open()
		s.sensor("wind").become(steadily(model.WindGustMPS, 35))
		s.wait(2 * time.Second)
		s.end()
		if _, err := s.agent.attest(); !errors.Is(err, errNotOpen) {
			t.Errorf("a gate that is not open is attested: %v", err)
		}
	})
}

// A sensing clock that goes back is held, so that no age, window or hold is ever
// negative; it goes on when it has caught up.
func TestSensingClockNeverGoesBack(t *testing.T) {
	var sensing int64
	r := clockReader{clock: Clock{SensingMs: func() int64 { return sensing }, Wall: time.Now}}
	for _, c := range []struct{ is, want int64 }{{-5, -5}, {10, 10}, {10, 10}, {3, 10}, {9, 10}, {11, 11}, {0, 11}, {20, 20}} {
		sensing = c.is
		if m := r.read(); m.sensingMs != c.want {
			t.Errorf("the clock says %d: read as %d, want %d", c.is, m.sensingMs, c.want)
		}
	}
}

// Without a word on synchronisation the wall clock is trusted; with one, the
// word counts each time.
func TestWallClockSync(t *testing.T) {
	synced := false
	r := clockReader{clock: Clock{SensingMs: func() int64 { return 0 }, Wall: time.Now}}
	if !r.read().synced {
		t.Error("a clock without a word on it is not trusted")
	}
	r.clock.Synced = func() bool { return synced }
	for _, synced = range []bool{false, true, false} {
		if got := r.read().synced; got != synced {
			t.Errorf("synced %v is read as %v", synced, got)
		}
	}
}

// A broker that comes back may have lost what it had acknowledged: every record
// without an outcome is sent again at once, whatever its back-off.
func TestReconnectSendsEverythingAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLiveSite(t)
		w := newTown(t, s.broker.Pipe(mqtt.Will{}))
		w.mute = true
		w.open()
		defer w.pipe.Close()
		s.chain, s.key = w.chain, testKey(1)
		s.open()
		records := s.outbox.Stats().Records
		if records == 0 || len(w.log) != records {
			t.Fatalf("%d records wait, %d were sent", records, len(w.log))
		}
		// The records have been sent several times, and rest for minutes now.
		at, _ := s.outbox.NextDue()
		if left := time.Until(at); left < 5*time.Second {
			t.Fatalf("the next attempt is due in %s: the test shows nothing", left)
		}
		w.mu.Lock()
		before := w.batch
		w.mu.Unlock()
		s.broker.SetDown(true)
		s.broker.SetDown(false)
		s.wait(2 * time.Second)
		w.mu.Lock()
		after := w.batch
		w.mu.Unlock()
		if after == before {
			t.Error("nothing was sent after the reconnect")
		}
		s.end()
	})
}
