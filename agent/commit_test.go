package agent

import (
	"context"
	"crypto"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/model"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/mqtt/mqtttest"
)

// A moodySigner refuses to sign while told to: the shortest way to a commit
// that fails after its transaction has begun, as on a full disk.
type moodySigner struct {
	crypto.Signer
	refuse *atomic.Bool
}

func (s moodySigner) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if s.refuse.Load() {
		return nil, errors.New("no")
	}
	return s.Signer.Sign(random, digest, opts)
}

// While nothing can be committed the gate goes on, nothing is sent, and no
// step of a trade is lost or done twice when it can again.
func TestAgentTriesAgainWhatCouldNotBeCommitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := &mqtttest.Broker{}
		p := newPlant(t)
		w := newTown(t, broker.Pipe(mqtt.Will{}))
		w.open()
		cfg := testConfig(t, "pv-1")
		cfg.Sell = &SellConfig{Meter: meterName(t), PriceMicroPerKWh: 200_000, MinWh: 10, MaxWh: 1000, DeliveryH: 1, OfferTTL: time.Hour}
		contactor := &spyContactor{plant: p, pin: "S0-1"}
		a := liveAgent(t, cfg, p, filepath.Join(t.TempDir(), "a.db"), w.chain, contactor, broker.Pipe(WillOf(&cfg)))
		var refuse atomic.Bool
		a.deps.Key = moodySigner{testKey(1), &refuse}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go p.run(ctx)
		go func() { done <- a.Run(ctx) }()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		before := len(w.kinds())
		offer := w.log[before-1].GetOffer().GetOfferId()

		refuse.Store(true)
		w.tell("pv-1", payRecord("token-1", offer, 800), nil)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if s := a.Status(); s.Failures == 0 || len(w.kinds()) != before || contactor.closed != "" {
			t.Fatalf("while nothing can be committed: %+v, records %v", s, w.kinds())
		}
		p.set(model.VoltageV, 150)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if s := a.Status(); s.Gate != model.StateBlocked {
			t.Fatalf("the gate stood still: %+v", s)
		}
		refuse.Store(false)
		p.set(model.VoltageV, 230)
		time.Sleep(15 * time.Minute)
		synctest.Wait()
		if contactor.closed != "token-1" {
			t.Errorf("the payment was lost: records %v", w.kinds())
		}
		starts := 0
		for i, r := range w.log {
			if r.GetCounter() != uint64(i+1) {
				t.Errorf("record %d has counter %d", i, r.GetCounter())
			}
			if r.GetStart() != nil {
				starts++
			}
		}
		if starts != 1 || !slices.Contains(w.kinds()[before:], "BLOCKED") {
			t.Errorf("records %v: want one Start, and the block that came meanwhile", w.kinds())
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		w.pipe.Close()
	})
}
