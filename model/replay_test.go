package model_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"fairwatt/model"
	"fairwatt/model/trace"
)

// sharedFile finds a real recording, or skips the test.
func sharedFile(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("FAIRWATT_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared")
	}
	path := filepath.Join(dir, "data", name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no real recording: %v (set FAIRWATT_SHARED)", err)
	}
	return path
}

type replayed struct {
	events  []model.Event
	lines   []byte
	summary model.Summary
	lastMs  int64
}

func replay(t testing.TB, path string, scorer model.Scorer) replayed {
	t.Helper()
	r, err := trace.Open(path, trace.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cfg := model.DefaultConfig()
	trace.Configure(&cfg, r.Meta(), r.Channels())
	if m := r.Meta(); m.HasPosition { // so that W08 and the check for light at night judge as well
		cfg.Position = &m.Position
	}
	j, err := model.NewJudge(cfg, scorer)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.SetWall(0, 0); err != nil {
		t.Fatal(err)
	}
	var out replayed
	var s model.Sample
	for {
		err := r.Next(&s)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out.summary.Sample(s.TimeMs)
		out.lastMs = s.TimeMs
		for _, e := range j.Step(&s) {
			out.summary.Event(&e)
			out.events = append(out.events, e)
			out.lines = append(e.AppendJSON(out.lines), '\n')
		}
	}
}

func ms(t *testing.T, text string) int64 {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at.UnixMilli()
}

// openMs adds up the time in which the gate was open before endMs.
func (r *replayed) openMs(endMs int64) int64 {
	var sum, since int64
	open := false
	for _, e := range r.events {
		if e.Type != model.EventGate || e.TimeMs > endMs {
			continue
		}
		if open {
			sum += e.TimeMs - since
		}
		open, since = e.State == model.StateOpen, e.TimeMs
	}
	if open {
		sum += min(endMs, r.lastMs) - since
	}
	return sum
}

// at returns the newest gate event at tMs.
func (r *replayed) at(tMs int64) (last model.Event) {
	for _, e := range r.events {
		if e.Type == model.EventGate && e.TimeMs <= tMs {
			last = e
		}
	}
	return last
}

func (r *replayed) firstBlockBy(rule string) (int64, bool) {
	for _, e := range r.events {
		for _, c := range e.Causes {
			if e.Type == model.EventGate && e.State == model.StateBlocked && c.Rule == rule {
				return e.TimeMs, true
			}
		}
	}
	return 0, false
}

func checkReasons(t *testing.T, r *replayed) {
	t.Helper()
	for i := range r.events {
		e := &r.events[i]
		switch {
		case e.Type == model.EventGate && e.Reason == "":
			t.Errorf("%s: gate event without reason", e.AppendJSON(nil))
		case e.Type == model.EventGate && e.State != model.StateOpen && len(e.Causes) == 0:
			t.Errorf("%s: %v without causes", e.AppendJSON(nil), e.State)
		case e.Type == model.EventGate && e.State == model.StateOpen && len(e.Causes) != 0:
			t.Errorf("%s: open with causes", e.AppendJSON(nil))
		case e.Type == model.EventAlert && len(e.Causes) == 0:
			t.Errorf("%s: alert without causes", e.AppendJSON(nil))
		}
		for _, c := range e.Causes {
			if c.Text == "" {
				t.Errorf("%s: cause without text", e.AppendJSON(nil))
			}
		}
	}
}

func TestReplayLanyuTyphoon(t *testing.T) {
	path := sharedFile(t, "replay/typhoon_lanyu_2021-07.csv")
	r := replay(t, path, nil)
	checkReasons(t, &r)
	if got := r.openMs(ms(t, "2021-07-23T00:00:00Z")); got < 72*3600*1000 {
		t.Errorf("open for %v before the typhoon, want 72 h or more", time.Duration(got)*time.Millisecond)
	}
	at, ok := r.firstBlockBy("W03")
	if limit := ms(t, "2021-07-23T21:00:00Z"); !ok || at > limit {
		t.Errorf("blocked by W03 at %v (%v), want by %v", at, ok, limit)
	}
	if at, ok := r.firstBlockBy("W08"); !ok || at > ms(t, "2021-07-24T00:00:00Z") {
		t.Errorf("a typhoon was first called a cyclone at %v (%v)", at, ok)
	}
	if again := replay(t, path, nil); !bytes.Equal(again.lines, r.lines) {
		t.Error("a second replay gave other events")
	}
	t.Logf("%s", r.summary.AppendJSON(nil))
}

func TestReplayKinmenGale(t *testing.T) {
	r := replay(t, sharedFile(t, "replay/gale_kinmen_2020-08.csv"), nil)
	checkReasons(t, &r)
	at, ok := r.firstBlockBy("W03")
	if limit := ms(t, "2020-08-11T00:00:00Z"); !ok || at > limit {
		t.Errorf("blocked by W03 at %v (%v), want by %v", at, ok, limit)
	}
	if e := r.at(r.lastMs); e.State != model.StateOpen {
		t.Errorf("%s: want OPEN again before the end", e.AppendJSON(nil))
	}
	t.Logf("%s", r.summary.AppendJSON(nil))
}

func TestReplayDeBiltSummer(t *testing.T) {
	r := replay(t, sharedFile(t, "replay/thunder_de_bilt_2000-05_09.csv"), nil)
	checkReasons(t, &r)
	if e := r.at(r.lastMs); e.State != model.StateOpen {
		t.Errorf("%s: a Dutch summer should end with the gate open", e.AppendJSON(nil))
	}
	t.Logf("%s", r.summary.AppendJSON(nil))
}
