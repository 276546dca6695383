package agent

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/agent/word"
	"fairwatt/model"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/mqtt/mqtttest"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// wordSite is a live site with a DC string (600 V at most) and an owner, Ada.
func wordSite(t *testing.T) *liveSite {
	s := newLiveSite(t)
	s.sensors = append(s.sensors, steady("string", model.DCVoltageV, 400))
	s.cfg.Judge.Earth.MaxDCVoltageV = 600
	s.cfg.Owners = []OwnerConfig{{Name: "ada", Key: string(seal.FormatKey(testKey(7).Public().(ed25519.PublicKey)))}}
	return s
}

// ask says a word on the machine itself.
func (s *liveSite) ask(c wire.Command) wire.Result {
	s.t.Helper()
	c.Schema = wire.SchemaCommand
	line, err := json.Marshal(c)
	if err != nil {
		s.t.Fatal(err)
	}
	r := s.agent.Ask(s.t.Context(), line)
	synctest.Wait()
	if r.Schema != wire.SchemaResult || r.Text == "" || r.OK != (r.Code == "") {
		s.t.Errorf("result %+v", r)
	}
	return r
}

// command is Ada's, made now.
func (s *liveSite) command(c wire.Command) wire.Command {
	c.Schema, c.Device, c.IssuedMs = wire.SchemaCommand, "farm-1/pv-1", time.Now().UnixMilli()
	return c
}

// publish brings bytes to a topic of the device.
func (s *liveSite) publish(class string, retained bool, b []byte) {
	s.t.Helper()
	pipe := s.broker.Pipe(mqtt.Will{})
	if err := pipe.Open(); err != nil {
		s.t.Fatal(err)
	}
	if err := pipe.Publish(s.t.Context(), "fairwatt/v1/farm-1/pv-1/"+class, 1, retained, b); err != nil {
		s.t.Fatal(err)
	}
	pipe.Close()
	s.wait(100 * time.Millisecond)
}

func (s *liveSite) seal(n byte, owner string, c wire.Command) []byte {
	s.t.Helper()
	b, err := word.Seal(testKey(n), owner, &c)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// results reads what the device said on cmd/result.
func results(t *testing.T, lines []string) []wire.Result {
	t.Helper()
	var out []wire.Result
	for _, line := range lines {
		var r wire.Result
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

// words are the records of words that the town has.
func (w *town) words() []*fairwattpb.Word {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []*fairwattpb.Word
	for _, r := range w.log {
		if word := r.GetWord(); word != nil {
			out = append(out, word)
		}
	}
	return out
}

// overVolts has 620 V for three minutes, and sees that the gate then waits for a
// person.
func (s *liveSite) overVolts() {
	s.t.Helper()
	s.sensor("string").become(steadily(model.DCVoltageV, 620))
	s.wait(3 * time.Minute)
	if r := s.ask(wire.Command{Do: "ack", Rule: "E12", By: "Ada"}); r.OK || r.Code != model.WordStillActive || !strings.Contains(r.Text, "620") {
		s.t.Errorf("acknowledged while 620 V stand: %+v", r)
	}
	s.sensor("string").become(steadily(model.DCVoltageV, 400))
	s.wait(time.Hour)
	if got := s.agent.Status(); got.Gate != model.StateBlocked || s.rules() != "E12" {
		s.t.Fatalf("an hour after it %v by %s", got.Gate, s.rules())
	}
}

// On the machine itself: a latch is acknowledged by name, the gate opens after its
// times, and the alert, the chain and the status tell of it.
func TestAcknowledgedOnTheMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := wordSite(t)
		w := newTown(t, s.broker.Pipe(mqtt.Will{}))
		w.open()
		defer w.pipe.Close()
		s.chain, s.key = w.chain, testKey(1)
		alerts := s.collect("alert")
		s.open()
		s.overVolts()
		if r := s.ask(wire.Command{Do: "status"}); !r.OK || r.State != wire.GateBlocked || fmt.Sprint(r.Latched) != "[E12]" || !strings.Contains(r.Reason, "waits for acknowledgement") {
			t.Errorf("status %+v", r)
		}
		before := len(w.kinds())
		r := s.ask(wire.Command{Do: "ack", Rule: "E12", By: "Ada", Why: "string 2 was wired wrong"})
		if !r.OK || r.State != wire.GateOpen || r.Text != "E12 acknowledged by Ada; the gate is OPEN" || len(r.Latched) != 0 {
			t.Errorf("acknowledged: %+v", r) // every time has run in the hour
		}
		s.wait(5 * time.Second)
		if got := w.kinds()[before:]; fmt.Sprint(got) != "[Word CLEARING OPEN]" {
			t.Errorf("on the chain %v", got)
		}
		said := w.words()
		if len(said) != 1 || said[0].GetKind() != fairwattpb.WordKind_WORD_KIND_ACK || said[0].GetRule() != "E12" || said[0].GetBy() != "Ada" ||
			said[0].GetWhy() != "string 2 was wired wrong" || said[0].GetOwner() != "" || len(said[0].GetCommandId()) != 0 || said[0].GetUntilMs() != 0 {
			t.Errorf("on the chain %v", said)
		}
		var actions []string
		for _, line := range alerts() {
			var v wire.Alert[wire.Cause]
			if err := json.Unmarshal([]byte(line), &v); err != nil {
				t.Fatal(err)
			}
			if v.Kind == "line" {
				actions = append(actions, v.Action)
			}
			if v.Action == "ack" && (v.By != "Ada" || v.Why != "string 2 was wired wrong" || v.Headline != "E12 acknowledged by Ada" || v.ID != "farm-1-pv-1-line-1" || fmt.Sprint(v.Rules) != "[E12]") {
				t.Errorf("alert %s", line)
			}
		}
		if got := strings.Join(actions, " "); !strings.HasPrefix(got, "raise ") || !strings.HasSuffix(got, " ack clear") || strings.Count(got, "clear") != 1 {
			t.Errorf("alerts: %s", got)
		}
		if r := s.ask(wire.Command{Do: "ack", Rule: "E12", By: "Ada"}); r.Code != model.WordNotLatched {
			t.Errorf("a second time: %+v", r)
		}
		s.end()
		// What was acknowledged is not asked for again.
		s.start()
		s.wait(10 * time.Minute)
		if got := s.agent.Status(); got.Gate != model.StateOpen {
			t.Errorf("after a restart %v: %s", got.Gate, got.Reason)
		}
		s.end()
	})
}

// Refusals on the machine say what is wrong, and change nothing.
func TestWordsRefusedOnTheMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := wordSite(t)
		s.open()
		for line, code := range map[string]string{
			``:                            wire.CommandMalformed,
			`ack`:                         wire.CommandMalformed,
			`{"schema":"cmd/1"}`:          wire.CommandMalformed,
			`{"schema":"cmd/1","do":"x"}`: wire.CommandMalformed,
			`{"schema":"cmd/1","do":"ack","rule":"E12"}`:                                                                                  model.WordBadName,
			`{"schema":"cmd/1","do":"ack","rule":"E12","by":"A\u0000"}`:                                                                   model.WordBadName,
			`{"schema":"cmd/1","do":"ack","rule":"Z","by":"A"}`:                                                                           model.WordUnknownRule,
			`{"schema":"cmd/1","do":"ack","rule":"E12","by":"A"}`:                                                                         model.WordNotLatched,
			`{"schema":"cmd/1","do":"unblock","by":"A"}`:                                                                                  model.WordNotBlocked,
			`{"schema":"cmd/1","do":"block","by":"A","why":"x"}`:                                                                          model.WordBadUntil,
			`{"schema":"cmd/1","do":"block","by":"A","why":"x","until_ms":5}`:                                                             model.WordBadUntil,
			`{"schema":"cmd/1","do":"block","by":"A","until_ms":9` + strings.Repeat("9", 30) + `}`:                                        wire.CommandMalformed,
			`{"schema":"cmd/1","do":"ack","rule":"` + strings.Repeat("x", wire.MaxCommandBytes) + `"}`:                                    wire.CommandMalformed,
			`{"schema":"cmd/1","do":"block","by":"A","why":"` + strings.Repeat("x", 257) + `","for_ms":5}`:                                model.WordBadWhy,
			`{"schema":"cmd/1","do":"block","by":"A","why":"x","for_ms":5,"until_ms":` + fmt.Sprint(time.Now().UnixMilli()+1000000) + `}`: model.WordBadUntil,
			`{"schema":"cmd/1","do":"block","by":"A","why":"x","until_ms":` + fmt.Sprint(time.Now().AddDate(1, 0, 3).UnixMilli()) + `}`:   model.WordBadUntil,
		} {
			r := s.agent.Ask(t.Context(), []byte(line))
			if r.OK || r.Code != code || r.Text == "" || len(r.Text) > 400 {
				t.Errorf("%.80s: %+v, want %s", line, r, code)
			}
		}
		if got := s.agent.Status(); got.Gate != model.StateOpen {
			t.Errorf("the gate is %v", got.Gate)
		}
		// An agent whose loop stands does not keep its asker.
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		release := make(chan struct{})
		s.sensor("wind").become(func(context.Context, *model.Sample) error { <-release; return nil })
		time.Sleep(2 * time.Second)
		if r := s.agent.Ask(ctx, []byte(`{"schema":"cmd/1","do":"unblock","by":"A"}`)); r.OK || !strings.Contains(r.Text, "hangs") {
			t.Errorf("a loop that stands: %+v", r)
		}
		if r := s.agent.Ask(ctx, []byte(`{"schema":"cmd/1","do":"status"}`)); !r.OK {
			t.Errorf("its status: %+v", r)
		}
		close(release)
		s.sensor("wind").become(steadily(model.WindGustMPS, 6))
		s.end()
	})
}

// Over MQTT: an owner's sealed command has its effect once; nobody else's has any.
// Each gets its result.
func TestCommandsOverMQTT(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := wordSite(t)
		w := newTown(t, s.broker.Pipe(mqtt.Will{}))
		w.open()
		defer w.pipe.Close()
		s.chain, s.key = w.chain, testKey(1)
		told := s.collect("cmd/result")
		s.open()
		s.overVolts()
		ack := wire.Command{Do: "ack", Rule: "E12", By: "Ada Lovelace"}
		last := func(want string, b []byte) wire.Result {
			t.Helper()
			all := results(t, told())
			if len(all) == 0 {
				t.Fatalf("no result, want %q", want)
			}
			r := all[len(all)-1]
			if r.Code != want || r.OK != (want == "") || r.ID != word.ID(b) || r.Schema != wire.SchemaResult || !r.Simulated {
				t.Errorf("result %+v, want code %q of %s", r, want, word.ID(b)[:8])
			}
			return r
		}
		for code, b := range map[string][]byte{
			wire.CommandUnknownOwner: s.seal(7, "eve", s.command(ack)),
			wire.CommandBadSignature: s.seal(1, "ada", s.command(ack)),
			wire.CommandMalformed:    []byte("ack E12 at once"),
		} {
			s.publish(wire.ClassAck, false, b)
			last(code, b)
		}
		other := s.command(ack)
		other.Device = "farm-1/pv-2"
		b := s.seal(7, "ada", other)
		s.publish(wire.ClassAck, false, b)
		last(wire.CommandWrongDevice, b)
		b = s.seal(7, "ada", s.command(ack))
		s.publish(wire.ClassUnblock, false, b)
		last(wire.CommandWrongTopic, b)
		old := s.command(ack)
		old.IssuedMs -= wire.CommandSkewMs + 1000
		b = s.seal(7, "ada", old)
		s.publish(wire.ClassAck, false, b)
		last(wire.CommandExpired, b)
		if got := s.agent.Status(); got.Gate != model.StateBlocked || len(w.words()) != 0 {
			t.Fatalf("%v, words %v", got.Gate, w.words())
		}

		b = s.seal(7, "ada", s.command(ack))
		s.publish(wire.ClassAck, false, b)
		if r := last("", b); r.Do != "ack" || r.State != wire.GateOpen {
			t.Errorf("acknowledged: %+v", r)
		}
		s.publish(wire.ClassAck, false, b)
		last(wire.CommandReplayed, b)
		// Also over a restart, within its two minutes.
		s.end()
		s.start()
		s.wait(5 * time.Second)
		s.publish(wire.ClassAck, false, b)
		last(wire.CommandReplayed, b)
		said := w.words()
		if len(said) != 1 || said[0].GetOwner() != "ada" || said[0].GetBy() != "Ada Lovelace" || fmt.Sprintf("%x", said[0].GetCommandId()) != word.ID(b) {
			t.Errorf("on the chain %v", said)
		}
		// What a broker has kept is of no one knows when.
		s.wait(10 * time.Minute)
		kept := s.seal(7, "ada", s.command(wire.Command{Do: "block", By: "Ada", Why: "x", ForMs: 1000}))
		s.end()
		s.publish(wire.ClassBlock, true, kept)
		s.start()
		s.wait(5 * time.Second)
		last(wire.CommandRetained, kept)
		if strings.Contains(s.rules(), "B01") {
			t.Error("a kept command had its effect")
		}
		s.end()
	})
}

// A device that does not know the time takes a block and nothing else; the block
// stands until the time is known, over restarts, and then ends by it.
func TestBlockWithoutAClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := wordSite(t)
		var synced atomic.Bool
		s.synced = synced.Load
		told := s.collect("cmd/result")
		s.open()
		until := time.Now().Add(time.Hour).UnixMilli()
		s.publish(wire.ClassBlock, false, s.seal(7, "ada", s.command(wire.Command{Do: "block", By: "Ada", Why: "the roof", UntilMs: until})))
		s.publish(wire.ClassUnblock, false, s.seal(7, "ada", s.command(wire.Command{Do: "unblock", By: "Ada"})))
		codes := ""
		for _, r := range results(t, told()) {
			codes += r.Code + ";"
		}
		if codes != ";clock_unknown;" {
			t.Errorf("results %s", codes)
		}
		for range 2 {
			s.wait(90 * time.Minute)
			if got := s.agent.Status(); got.Gate != model.StateBlocked || s.rules() != "B01" || !strings.Contains(got.Reason, "the roof") {
				t.Fatalf("hours after its end %v by %s: %s", got.Gate, s.rules(), got.Reason)
			}
			s.end()
			s.start()
		}
		s.wait(time.Minute)
		synced.Store(true)
		s.wait(10 * time.Minute)
		if got := s.agent.Status(); got.Gate != model.StateOpen {
			t.Errorf("the time is known, and %v: %s", got.Gate, got.Reason)
		}
		s.end()
	})
}

// A person's block opens the contactor at once, before anything is written, and the
// trade is put on hold.
func TestBlockOpensTheContactor(t *testing.T) {
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
		time.Sleep(5*time.Second + 300*time.Millisecond)
		synctest.Wait()
		if contactor.closed != "token-1" {
			t.Fatalf("no delivery runs: records %v", w.kinds())
		}
		before := len(w.kinds())
		if r := a.Ask(ctx, []byte(`{"schema":"cmd/1","do":"block","by":"Ada","why":"fire","for_ms":3600000}`)); !r.OK {
			t.Fatalf("%+v", r)
		}
		if contactor.closed != "" { // within no time of the test's clock: between two ticks
			t.Error("the contactor is closed after a block")
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got := fmt.Sprint(w.kinds()[before:]); got != "[Word BLOCKED Hold]" && got != "[Word BLOCKED Offer Hold]" && got != "[Word BLOCKED Hold Offer]" {
			t.Errorf("on the chain %s", got)
		}
		if said := w.words(); len(said) != 1 || said[0].GetUntilMs() == 0 || said[0].GetRule() != "B01" {
			t.Errorf("on the chain %v", said)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A disk that refuses does not keep a person from closing the gate. The answer says
// so, and chain and result come when it writes again.
func TestWordWhileTheDiskRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := wordSite(t)
		w := newTown(t, s.broker.Pipe(mqtt.Will{}))
		w.open()
		defer w.pipe.Close()
		var refuse atomic.Bool
		s.chain, s.key = w.chain, moodySigner{testKey(1), &refuse}
		told := s.collect("cmd/result")
		s.open()
		refuse.Store(true)
		r := s.ask(wire.Command{Do: "block", By: "Ada", Why: "fire", ForMs: 3_600_000})
		if !r.OK || r.State != wire.GateBlocked || !strings.Contains(r.Text, "the disk refuses") {
			t.Errorf("%+v", r)
		}
		s.publish(wire.ClassUnblock, false, s.seal(7, "ada", s.command(wire.Command{Do: "unblock", By: "Ada"})))
		s.wait(10 * time.Second)
		if len(w.words()) != 0 || len(told()) != 0 {
			t.Errorf("words %v, results %v, and nothing is on disk", w.words(), told())
		}
		refuse.Store(false)
		s.wait(10 * time.Second)
		if len(w.words()) != 2 || len(told()) != 1 {
			t.Errorf("words %v, results %v", w.words(), told())
		}
		s.end()
	})
}

// Where a step takes longer than a tick, one is always due. A person is heard all
// the same, within a few steps.
func TestAPersonIsHeardByASlowAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := wordSite(t)
		last := s.sensors[len(s.sensors)-1].(*fakeSensor)
		s.open()
		last.become(func(ctx context.Context, sample *model.Sample) error {
			time.Sleep(1500 * time.Millisecond) // the tick is a second
			return steadily(model.DCVoltageV, 400)(ctx, sample)
		})
		time.Sleep(10 * time.Second)
		for i := range 5 {
			do := wire.Command{Do: "block", By: "Ada", Why: "smoke", ForMs: int64(3_600_000 + i)}
			if r := s.ask(do); !r.OK {
				t.Errorf("word %d: %+v", i, r) // and on: the agent has to be ended
			}
		}
		s.end()
	})
}
