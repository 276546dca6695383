package agent

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/agent/outbox"
	"fairwatt/model"
	"fairwatt/proto/mqtt"
)

// Kept state that cannot be read, and a file that is damaged, close the gate until
// a person has acknowledged it; the agent runs on and says so.
func TestDamagedKeptState(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, db string){
		"snapshot": func(t *testing.T, db string) {
			flip(t, db, []byte("FWJ"), 9)
		},
		"cut file": func(t *testing.T, db string) {
			if err := os.Truncate(db, 8192); err != nil {
				t.Fatal(err)
			}
		},
		"empty file": func(t *testing.T, db string) {
			if err := os.Truncate(db, 0); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newLiveSite(t)
				s.open()
				s.end()
				damage(t, s.db)
				s.start()
				s.wait(30 * time.Minute)
				if got := s.agent.Status(); got.Gate != model.StateBlocked || s.rules() != "S04" {
					t.Errorf("after half an hour: %v by %s", got.Gate, s.rules())
				}
				if s.log.count("closed until S04 is acknowledged") != 1 {
					t.Errorf("it is told: %v", s.log.lines)
				}
				// A restart forgets nothing of it.
				s.end()
				s.start()
				s.wait(30 * time.Minute)
				if got := s.agent.Status(); got.Gate != model.StateBlocked || !strings.Contains(s.rules(), "S04") {
					t.Errorf("after a restart: %v by %s", got.Gate, s.rules())
				}
				s.end()
			})
		})
	}
}

// flip changes a byte behind each place where mark stands.
func flip(t *testing.T, path string, mark []byte, behind int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for at := 0; ; {
		i := bytes.Index(b[at:], mark)
		if i < 0 {
			break
		}
		at += i
		b[at+behind] ^= 0x55
		at++
		found++
	}
	if found == 0 {
		t.Fatalf("no %q in %s", mark, path)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// The bytes that could not be read are put aside for whoever looks into it.
func TestDamagedSnapshotIsPutAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLiveSite(t)
		s.open()
		s.end()
		flip(t, s.db, []byte("FWJ"), 9)
		s.start()
		s.end()
		o, err := outbox.Open(s.db, outbox.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		b, err := o.State(damaged(stateJudge))
		if err != nil || !bytes.HasPrefix(b, []byte("FWJ")) {
			t.Errorf("put aside: %q, %v", b, err)
		}
		if err := o.Close(0); err != nil {
			t.Error(err)
		}
	})
}

// Every kept state that cannot be read closes the gate by S04 and is put aside; none
// stops the agent, and none is taken in part.
func TestEveryDamagedStateCloses(t *testing.T) {
	for _, key := range []string{stateAgent, stateMeters, stateDesk, stateSeller, stateBuyer, stateJudge} {
		for _, bad := range []string{"{", `{"gate_seq":"x","Trades":7,"Circuits":7,"a":"b","gone":7}`} {
			t.Run(key, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newLiveSite(t)
					w := newTown(t, s.broker.Pipe(mqtt.Will{}))
					s.chain, s.key = w.chain, testKey(1)
					s.cfg.Warnings = &WarningsConfig{Topic: "met/cap", StaleAfter: 7 * 24 * time.Hour}
					s.cfg.Sell = &SellConfig{Meter: "sold", PriceMicroPerKWh: 1, MinWh: 1, MaxWh: 1, DeliveryH: 1, OfferTTL: time.Hour}
					s.cfg.Buy = &BuyConfig{Circuits: []BuyCircuit{{Name: "c", Meter: "sold", VolumeWh: 1, MaxPriceMicroPerKWh: 1}}, RequestTTL: time.Hour, RequestEvery: time.Hour}
					o, err := outbox.Open(s.db, outbox.DefaultLimits())
					if err != nil {
						t.Fatal(err)
					}
					if _, err := o.Commit(0, outbox.Commit{State: map[string][]byte{key: []byte(bad)}}); err != nil {
						t.Fatal(err)
					}
					if err := o.Close(0); err != nil {
						t.Fatal(err)
					}
					s.start()
					s.wait(30 * time.Minute)
					if got := s.agent.Status(); got.Gate != model.StateBlocked || s.rules() != "S04" {
						t.Errorf("after half an hour: %v by %s", got.Gate, s.rules())
					}
					if b, err := s.outbox.State(damaged(key)); err != nil || string(b) != bad {
						t.Errorf("put aside: %q, %v", b, err)
					}
					s.end()
				})
			})
		}
	}
}
