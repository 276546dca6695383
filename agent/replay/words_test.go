package replay

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"fairwatt/agent/word"
	"fairwatt/model"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/mqtt/mqtttest"
	"fairwatt/proto/wire"
)

// volts is a trace of a DC string, a sample a minute from startMs on.
type volts struct {
	startMs int64
	v       []float64
	n       int
}

func (s *volts) Next(out *model.Sample) error {
	if s.n == len(s.v) {
		return io.EOF
	}
	*out = model.Sample{TimeMs: s.startMs + int64(s.n)*60_000}
	out.Set(model.DCVoltageV, s.v[s.n])
	s.n++
	return nil
}

// day is a string at 400 V with 620 V in minutes 20 to 22.
func day(startMs int64, minutes int) *volts {
	s := &volts{startMs: startMs}
	for i := range minutes {
		v := 400 + float64(i%7)/10
		if i >= 20 && i < 23 {
			v = 620
		}
		s.v = append(s.v, v)
	}
	return s
}

// play replays words over the day and returns the lines without the summary.
func play(t *testing.T, source SampleSource, unix bool, speed float64, script string, pipe mqtt.Pipe) ([]string, error) {
	t.Helper()
	lines, err := word.ReadScript(strings.NewReader(script))
	if err != nil {
		t.Fatal(err)
	}
	cfg := model.DefaultConfig()
	cfg.IntervalS, cfg.Earth.MaxDCVoltageV = 60, 600
	judge, err := model.NewJudge(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	r := Replay{
		Judge: judge, Events: &out, Speed: speed, Words: lines, UnixTime: func() bool { return unix },
		Pipe: pipe, Topics: wire.Topics{Site: "trace", Device: "replay"},
	}
	_, err = r.Run(t.Context(), source)
	return strings.Split(strings.TrimSpace(out.String()), "\n"), err
}

const script = `
{"t":1260,"ack":"E12","by":"Eve"}
{"t":1500,"ack":"E12","by":"Ada","why":"looked"}
{"t":2400,"block":true,"by":"Ada","why":"repair","until":3000}
{"t":2700,"unblock":true,"by":"Bob"}
{"t":3540,"ack":"X99","by":"Ada"}
`

// What people say on the way has its effect at its moment, or a line that says why
// not; the lines are the same at every speed.
func TestWordsInAReplay(t *testing.T) {
	t.Parallel()
	broker := &mqtttest.Broker{}
	pipe := broker.Pipe(mqtt.Will{})
	var alerts []string
	watcher := broker.Pipe(mqtt.Will{})
	watcher.Subscribe("fairwatt/v1/trace/replay/alert", func(m mqtt.Message) { alerts = append(alerts, string(m.Payload)) })
	for _, p := range []mqtt.Pipe{pipe, watcher} {
		if err := p.Open(); err != nil {
			t.Fatal(err)
		}
	}
	lines, err := play(t, day(0, 60), false, 0, script, pipe)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, line := range lines {
		for _, mark := range []string{`"type":"ack"`, `"type":"block"`, `"type":"unblock"`, `"type":"refused"`, `"type":"gate"`} {
			if strings.Contains(line, mark) {
				head, _, _ := strings.Cut(strings.TrimPrefix(line, `{"t":"1970-01-01T`), `,"reason"`)
				head, _, _ = strings.Cut(head, `,"causes"`)
				got = append(got, strings.TrimSuffix(head, "}"))
			}
		}
	}
	want := []string{
		`00:00:00.000Z","type":"gate","state":"BLOCKED"`,
		`00:00:00.000Z","type":"gate","state":"CLEARING"`,
		`00:05:00.000Z","type":"gate","state":"OPEN"`,
		`00:20:00.000Z","type":"gate","state":"BLOCKED"`,
		`00:21:00.000Z","type":"refused","word":"ack","rule":"E12","by":"Eve","code":"still_active"`,
		`00:25:00.000Z","type":"ack","rule":"E12","kind":"line","by":"Ada","why":"looked","id":"line-1","rev":2`,
		`00:25:00.000Z","type":"gate","state":"CLEARING"`,
		`00:25:00.000Z","type":"gate","state":"OPEN"`,
		`00:40:00.000Z","type":"block","rule":"B01","kind":"external","by":"Ada","why":"repair","until":"1970-01-01T00:50:00.000Z"`,
		`00:40:00.000Z","type":"gate","state":"BLOCKED"`,
		`00:45:00.000Z","type":"unblock","rule":"B01","kind":"external","by":"Bob"`,
		`00:45:00.000Z","type":"gate","state":"CLEARING"`,
		`00:45:00.000Z","type":"gate","state":"OPEN"`,
		`00:59:00.000Z","type":"refused","word":"ack","rule":"X99","by":"Ada","code":"unknown_rule"`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("lines\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	found := false
	for _, a := range alerts {
		found = found || strings.Contains(a, `"action":"ack"`) && strings.Contains(a, `"headline":"E12 acknowledged by Ada","by":"Ada","why":"looked"`)
	}
	if !found {
		t.Errorf("alerts %s", strings.Join(alerts, "\n"))
	}
	slow, err := play(t, day(0, 60), false, 1e6, script, nil)
	if err != nil || strings.Join(slow, "\n") != strings.Join(lines, "\n") {
		t.Errorf("at another speed %v:\n%s", err, strings.Join(slow, "\n"))
	}
	// Times of day give the same, a day later.
	const start = 1_767_225_600_000
	unix, err := play(t, day(start, 60), true, 0, strings.Replace(script, `"t":1500`, `"t":"2026-01-01T00:25:00Z"`, 1), nil)
	if err != nil || strings.ReplaceAll(strings.Join(unix, "\n"), "2026-01-01T", "1970-01-01T") != strings.Join(lines, "\n") {
		t.Errorf("with times of day %v:\n%s", err, strings.Join(unix, "\n"))
	}
}

// A word that no one can hear is a mistake in the list, and says where.
func TestWordsOutsideTheTrace(t *testing.T) {
	t.Parallel()
	const start = 1_767_225_600_000
	for script, says := range map[string]string{
		`{"t":3541,"ack":"E12","by":"Ada"}`:                                                             "1 words are said after the trace, which ends at 2026-01-01T00:59:00Z",
		`{"t":"2025-12-31T23:59:59Z","ack":"E12","by":"Ada"}`:                                           "word 1: t: 2025-12-31T23:59:59Z is before the trace",
		`{"t":5,"ack":"E12","by":"Ada"}` + "\n" + `{"t":"2026-02-01T00:00:00Z","ack":"E12","by":"Ada"}`: "the first at 2026-02-01",
	} {
		if _, err := play(t, day(start, 60), true, 0, script, nil); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", script, err, says)
		}
	}
	if _, err := play(t, day(0, 60), false, 0, `{"t":"2026-01-01T00:00:00Z","ack":"E12","by":"Ada"}`, nil); err == nil || !strings.Contains(err.Error(), "no time of day") {
		t.Errorf("a time of day in a trace without one: %v", err)
	}
	if _, err := play(t, &volts{}, false, 0, `{"t":0,"ack":"E12","by":"Ada"}`, nil); err != nil {
		t.Errorf("an empty trace: %v", err)
	}
}
