package replayplot

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"fairwatt/model"
	"fairwatt/model/trace"
)

// squallEvents are a replay's, as `agent replay --scores` writes them.
const squallEvents = `{"t":"2026-06-20T16:01:00.000Z","type":"gate","state":"CLEARING","reason":"x","clear_in_s":300,"causes":[{"rule":"INIT","level":"block"}]}
{"t":"2026-06-20T16:06:00.000Z","type":"gate","state":"OPEN","reason":"x","causes":[]}
{"t":"2026-06-20T16:10:00.000Z","type":"score","p":{"thunderstorm":0.02,"wind":0.4}}
{"t":"2026-06-20T16:20:00.000Z","type":"score","p":{"thunderstorm":0.09,"wind":0.2}}
{"t":"2026-06-20T17:00:00.000Z","type":"alert","action":"raise","kind":"wind","level":"block","id":"wind-1","causes":[{"rule":"W03","level":"block"},{"rule":"W05","level":"block"}]}
{"t":"2026-06-20T17:00:00.000Z","type":"gate","state":"BLOCKED","reason":"x","causes":[{"rule":"W03","level":"block"}]}
{"t":"2026-06-20T19:00:00.000Z","type":"alert","action":"clear","kind":"wind","level":"block","id":"wind-1","causes":[]}
{"type":"summary","samples":300}
`

// minutes is a made-up trace of so many minutes; gone says where the wind is
// missing.
func minutes(n int, gone func(i int) bool) *trace.Trace {
	t := &trace.Trace{
		Meta:     trace.Meta{Site: "hill", IntervalS: 60, Simulated: true},
		Channels: []model.Channel{model.WindSpeedMPS, model.WindGustMPS, model.PressureHPa, model.LightningKM},
		Labels:   []string{"label_thunder"},
	}
	start := time.Date(2026, 6, 20, 16, 0, 0, 0, time.UTC)
	for i := range n {
		var r trace.Row
		r.Sample.TimeMs = start.Add(time.Duration(i+1) * time.Minute).UnixMilli()
		if !gone(i) {
			r.Sample.Set(model.WindSpeedMPS, float64(i%10))
		}
		r.Sample.Set(model.WindGustMPS, float64(i%17))
		r.Sample.Set(model.PressureHPa, 1000)
		r.Sample.Set(model.LightningKM, farKM)
		r.Labels = map[string]float64{"label_thunder": float64(i % 100 / 90)}
		t.Rows = append(t.Rows, r)
	}
	return t
}

func never(int) bool { return false }

func drawn(t *testing.T, tr *trace.Trace, events string, o Options) string {
	t.Helper()
	e, err := ReadEvents(strings.NewReader(events))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := Draw(&b, tr, e, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// texts are the texts of a picture.
func texts(t *testing.T, svg string) []string {
	t.Helper()
	var out []string
	d := xml.NewDecoder(strings.NewReader(svg))
	in := false
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
		switch x := token.(type) {
		case xml.StartElement:
			in = x.Name.Local == "text"
		case xml.CharData:
			if in {
				out = append(out, strings.TrimSpace(string(x)))
			}
		}
	}
}

func TestPictureSaysWhatHappened(t *testing.T) {
	zone := time.FixedZone("", 8*3600)
	o := Options{Format: "svg", Zone: zone, Thresholds: map[string]float64{"wind": 0.3}}
	svg := drawn(t, minutes(300, never), squallEvents, o)
	all := strings.Join(texts(t, svg), "|")
	for _, want := range []string{
		"hill, from 21 June 2026 (simulated)", // local midnight has passed
		"gate", "alert: wind", "truth: thunder", "W03", "W03 W05", "open", "network's score", "wind, m/s", "pressure, hPa",
		"wind_speed_mps", "wind_gust_mps", "01:00", "02:00",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("the picture does not say %q: %s", want, all)
		}
	}
	for _, not := range []string{"lightning", "rain"} { // never in range; no such channel
		if strings.Contains(all, not) {
			t.Errorf("the picture says %q", not)
		}
	}
	if again := drawn(t, minutes(300, never), squallEvents, o); again != svg {
		t.Error("drawn again, it has other bytes")
	}
}

// Without scores there is no panel for them; a gap is no line.
func TestGapsBreakLines(t *testing.T) {
	o := Options{Format: "svg"}
	p := newPicture(minutes(300, never), o)
	if n := len(p.runs(minutes(300, never), model.WindSpeedMPS)); n != 1 {
		t.Errorf("%d runs without a gap", n)
	}
	gone := func(i int) bool { return i >= 100 && i < 110 || i == 200 }
	if n := len(p.runs(minutes(300, gone), model.WindSpeedMPS)); n != 3 {
		t.Errorf("%d runs with two gaps, want 3", n)
	}
	short := minutes(300, never) // rows that are not there are a gap, too
	short.Rows = slices.Delete(short.Rows, 100, 110)
	if n := len(p.runs(short, model.WindSpeedMPS)); n != 2 {
		t.Errorf("%d runs where rows are missing, want 2", n)
	}
	if all := strings.Join(texts(t, drawn(t, minutes(10, never), "", o)), "|"); strings.Contains(all, "score") {
		t.Error("a panel of no scores")
	}
}

// A spike of one row in a year of minutes is drawn, and the picture stays small.
func TestLongTraceKeepsItsSpike(t *testing.T) {
	tr := minutes(200_000, never)
	tr.Rows[123_456].Sample.Set(model.WindGustMPS, 99)
	p := newPicture(tr, Options{})
	runs := p.runs(tr, model.WindGustMPS)
	top, n := 0.0, 0
	for _, r := range runs {
		n += len(r)
		for _, xy := range r {
			top = max(top, xy.Y)
		}
	}
	if top != 99 || n > 3*points {
		t.Errorf("highest %g, %d points", top, n)
	}
	if svg := drawn(t, tr, "", Options{Format: "svg"}); len(svg) > 2_000_000 {
		t.Errorf("%d bytes", len(svg))
	}
}

func TestSecondsFromTheStart(t *testing.T) {
	tr := minutes(100, never)
	for i := range tr.Rows {
		tr.Rows[i].Sample.TimeMs = int64(i) * 60_000
	}
	if all := strings.Join(texts(t, drawn(t, tr, "", Options{Format: "svg"})), "|"); !strings.Contains(all, "seconds from the start") {
		t.Error(all)
	}
}

func TestDrawRefuses(t *testing.T) {
	if err := Draw(io.Discard, &trace.Trace{}, &Events{}, Options{Format: "svg"}); !errors.Is(err, ErrEmpty) {
		t.Errorf("no rows: %v", err)
	}
	if err := Draw(io.Discard, minutes(2, never), &Events{}, Options{Format: "gif"}); err == nil || !strings.Contains(err.Error(), `"gif"`) {
		t.Errorf("gif: %v", err)
	}
	var png bytes.Buffer
	if err := Draw(&png, minutes(2, never), &Events{}, Options{Format: "png"}); err != nil || !bytes.HasPrefix(png.Bytes(), []byte("\x89PNG")) {
		t.Errorf("png: %v", err)
	}
}

func TestReadEventsRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"{}\n":                              "events line 1: no type",
		"\n\nnonsense\n":                    "events line 3: ",
		`{"type":"gate","t":"noon"}` + "\n": "events line 1: ",
	} {
		if _, err := ReadEvents(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func FuzzReadEvents(f *testing.F) {
	f.Add(squallEvents)
	tr := minutes(30, never)
	f.Fuzz(func(t *testing.T, text string) {
		e, err := ReadEvents(strings.NewReader(text))
		if err != nil {
			return
		}
		// What is drawn, without the drawing, which is slow.
		p := newPicture(tr, Options{})
		for _, r := range p.rows(tr, e) {
			if r.name == "" {
				t.Fatal("a row without a name")
			}
		}
		p.scorePanel(e, nil)
	})
}

func ExampleReadEvents() {
	e, err := ReadEvents(strings.NewReader(squallEvents))
	fmt.Println(len(e.gate), len(e.alerts), len(e.scores), err)
	// Output: 3 2 2 <nil>
}
