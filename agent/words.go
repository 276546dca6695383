package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync/atomic"

	"fairwatt/agent/outbox"
	"fairwatt/agent/view"
	"fairwatt/agent/word"
	"fairwatt/model"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// words is how people's words reach the loop.
type words struct {
	asked  chan asked        // by the machine's own user
	sealed chan mqtt.Message // by owners, over MQTT
	keys   seal.Keys
	none   bool // no owner is configured

	done, refused atomic.Uint64
}

// asked is a command of the machine's own user, with where its result goes.
type asked struct {
	command wire.Command
	reply   chan wire.Result
}

// A speaker is who a word came from, as the chain has it.
type speaker struct {
	owner string // whose key sealed it; empty: the machine's own user
	id    []byte // of the sealed command; empty likewise
}

func newWords(cfg *Config) (*words, error) {
	keys, err := cfg.ownerKeys()
	if err != nil {
		return nil, err
	}
	return &words{
		asked: make(chan asked), sealed: make(chan mqtt.Message, 16), keys: word.KeysOf(keys), none: len(keys) == 0,
	}, nil
}

// subscribeWords has owners' commands brought to the loop. More than it can take at once
// are not kept: their senders get no result, and try again.
func (a *Agent) subscribeWords(pipe mqtt.Pipe) {
	if a.words.none {
		return
	}
	for _, class := range wire.Commands {
		pipe.Subscribe(a.publisher.topics.Of(class), func(m mqtt.Message) {
			select {
			case a.words.sealed <- m:
			default:
				a.log.Warn("command not taken: too many at once", "topic", m.Topic)
			}
		})
	}
}

// Ask answers one line of the agent's socket: a command in JSON. It is safe to call
// from any goroutine while Run runs, and returns when the word has had its effect or
// none, or when ctx ends.
func (a *Agent) Ask(ctx context.Context, line []byte) wire.Result {
	c, err := word.Parse(line)
	switch {
	case err != nil:
		return a.refusedResult(&c, err)
	case c.Do == word.DoStatus:
		return a.statusResult()
	}
	ask := asked{c, make(chan wire.Result, 1)}
	select {
	case a.words.asked <- ask:
	case <-ctx.Done():
		return a.refusedResult(&c, errNotTaken)
	}
	select {
	case r := <-ask.reply:
		return r
	case <-ctx.Done():
		return a.refusedResult(&c, errNotAnswered)
	}
}

var (
	errNotTaken    = &word.Refusal{Code: model.WordNotJudged, Text: "the agent does not take it: it has judged nothing yet, or hangs; look at its log"}
	errNotAnswered = &word.Refusal{Code: "no_answer", Text: "the agent has taken it and does not answer; ask for its status"}
)

// answer lets the word of the machine's own user have its effect. It returns what sends the result, to be called
// when all that came of it is on disk.
func (a *Agent) answer(ask asked) (func(), error) {
	r, err := a.obey(&ask.command, speaker{})
	return func() {
		if a.judged { // nothing of it was written
			r.Text += "; the disk refuses to keep it, which is tried again"
		}
		ask.reply <- r
	}, err
}

// command takes one sealed command from MQTT. Its result is kept with what it did. A
// stranger's is answered too, but not kept: strangers must not fill the disk.
func (a *Agent) command(m mqtt.Message) error {
	class := strings.TrimPrefix(m.Topic, a.publisher.topics.Of(""))
	device := word.DeviceOf(a.publisher.topics)
	c, owner, err := word.Open(m.Payload, a.words.keys, device, class)
	switch {
	case err != nil:
	case m.Retained:
		err = &word.Refusal{Code: wire.CommandRetained, Text: "command: kept by the broker, so no one knows since when; publish it without retain"}
	default:
		err = a.saved.Commands.Take(owner, &c, a.now.wallMs(), a.now.synced)
	}
	var r wire.Result
	if err != nil {
		r = a.refusedResult(&c, err)
	} else {
		id := seal.ID(m.Payload)
		a.judged = true // that it was taken is part of the kept state
		if r, err = a.obey(&c, speaker{owner, id[:]}); err != nil {
			return err
		}
	}
	r.ID = word.ID(m.Payload)
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("marshal result: %w", err)
	}
	if owner == "" || len(a.pending.Events) >= maxPending {
		a.publisher.set(wire.ClassResult, 1, false, b)
		return nil
	}
	a.pending.Events = append(a.pending.Events, outbox.Event{Topic: a.publisher.topics.Of(wire.ClassResult), Payload: b})
	return nil
}

// obey says a command's word to the judge.
func (a *Agent) obey(c *wire.Command, from speaker) (wire.Result, error) {
	if from.owner == "" && word.OfTrades(c.Do) {
		return a.tradeWord(c), nil
	}
	w, err := word.Of(c)
	if err != nil {
		return a.refusedResult(c, err), nil
	}
	a.tellClock()
	events, refusal := a.judge.Say(w, a.now.sensingMs)
	for i := range events {
		a.wordRecord(&events[i], from)
		if err := a.event(&events[i]); err != nil {
			return wire.Result{}, err
		}
	}
	if refusal != nil {
		return a.refusedResult(c, refusal), nil
	}
	a.words.done.Add(1)
	a.log.Info("word", "do", c.Do, "rule", c.Rule, "by", c.By, "why", c.Why, "owner", from.owner)
	r := a.result(c)
	judged := a.judge.View()
	r.OK, r.State, r.Reason = true, judged.State.String(), judged.Reason
	r.Latched = latchedOf(judged.Causes)
	r.Text = doneText(c, &judged)
	return r, nil
}

// doneText says what became of a word that had its effect.
func doneText(c *wire.Command, v *model.View) string {
	text := ""
	switch c.Do {
	case model.WordAck.String():
		text = c.Rule + " acknowledged by " + c.By
	case model.WordBlock.String():
		text = "closed by " + c.By
	default:
		text = "block taken back by " + c.By
	}
	return text + "; the gate is " + v.State.String()
}

// result is the frame of an answer.
func (a *Agent) result(c *wire.Command) wire.Result {
	return wire.Result{Schema: wire.SchemaResult, TS: wire.Time{Time: a.deps.Clock.Wall()}, Do: c.Do, Simulated: a.cfg.Simulated}
}

// refusedResult answers a command that came to nothing. It runs on any goroutine.
func (a *Agent) refusedResult(c *wire.Command, err error) wire.Result {
	a.words.refused.Add(1)
	r := a.result(c)
	r.Code, r.Text = wire.CommandMalformed, err.Error()
	var command *word.Refusal
	var said *model.WordRefusal
	switch {
	case errors.As(err, &command):
		r.Code = command.Code
	case errors.As(err, &said):
		r.Code = said.Code
	}
	status := a.Status()
	r.State, r.Latched = status.Gate.String(), latchedOf(status.Causes)
	a.log.Warn("word refused", "do", c.Do, "rule", c.Rule, "by", c.By, "code", r.Code, "text", r.Text)
	return r
}

// mostCosts is of how many rules an answer to status says what they have cost.
const mostCosts = 8

// statusResult tells the gate as of the last step.
func (a *Agent) statusResult() wire.Result {
	status := a.Status()
	r := a.result(&wire.Command{Do: word.DoStatus})
	r.OK, r.State, r.Reason, r.Latched = true, status.Gate.String(), status.Reason, latchedOf(status.Causes)
	r.Text = "the gate is " + r.State
	most := slices.Clone(status.Cost)
	sort.SliceStable(most, func(i, j int) bool { return most[i].ClosedS > most[j].ClosedS })
	r.Cost, r.CostSince = most[:min(len(most), mostCosts)], status.CostSince
	return r
}

// latchedOf are the rules that wait for an acknowledgement.
func latchedOf(causes []model.Cause) []string {
	var out []string
	for _, c := range causes {
		if c.Latched {
			out = append(out, c.Rule)
		}
	}
	return out
}

var wordKindPB = map[model.EventType]fairwattpb.WordKind{
	model.EventAck:     fairwattpb.WordKind_WORD_KIND_ACK,
	model.EventBlock:   fairwattpb.WordKind_WORD_KIND_BLOCK,
	model.EventUnblock: fairwattpb.WordKind_WORD_KIND_UNBLOCK,
}

// wordRecord puts a word that had its effect on its way to the chain, before the
// change of the gate that comes of it.
func (a *Agent) wordRecord(e *model.Event, from speaker) {
	kind, is := wordKindPB[e.Type]
	if !is || a.deps.Chain == nil || len(a.pending.Record) >= maxPending {
		return
	}
	w := &fairwattpb.Word{
		Kind: kind, Rule: e.Word.Rule, By: e.Word.By, Why: e.Word.Why, Owner: from.owner, CommandId: from.id,
	}
	if e.Type == model.EventBlock {
		w.UntilMs = e.Word.UntilUnixMs
	}
	a.pending.Record = append(a.pending.Record, a.entry(&fairwattpb.Record{Body: &fairwattpb.Record_Word{Word: w}}, false))
}

// tellAck queues the message that a person has acknowledged a rule of an alert.
func (a *Agent) tellAck(e *model.Event) error {
	judged := a.judge.View()
	b, err := view.Marshal(a.viewer.Alert(a.now.view(), e, judged.ClearInMs))
	if err != nil {
		return err
	}
	if len(a.pending.Events) < maxPending {
		a.pending.Events = append(a.pending.Events, outbox.Event{Topic: a.publisher.topics.Of(wire.ClassAlert), Payload: b})
	}
	return nil
}

// tellClock tells the judge the time of day, for a person's block until one.
func (a *Agent) tellClock() {
	if a.deps.Clock.WorldMs != nil { // it runs with the sensing clock
		a.judge.BlockClock(a.worldMs+a.now.sensingMs-a.beganMs, a.now.sensingMs, true)
		return
	}
	a.judge.BlockClock(a.now.wallMs(), a.now.sensingMs, a.now.synced)
}
