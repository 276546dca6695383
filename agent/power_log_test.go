package agent

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"fairwatt/agent/contactor"
	"fairwatt/agent/trade"
	"fairwatt/model"
)

// A felt contactor says where it is.
type felt struct {
	trade.NoContactor
	closed, watched bool
	err             error
}

func (f *felt) Feedback() (closed, watched bool, err error) { return f.closed, f.watched, f.err }

// What the contactor's feedback says is logged when it changes; that there is none is no
// fault, and no news where there is no contactor.
func TestLogOfTheContactor(t *testing.T) {
	t.Parallel()
	judge, err := model.NewJudge(model.DefaultConfig(), nil)
	if err != nil {
		t.Fatal(err)
	}
	line := &felt{watched: true}
	feel := func(c trade.Contactor, steps ...func()) string {
		var log bytes.Buffer
		a := &Agent{log: slog.New(slog.NewTextHandler(&log, nil)), deps: Deps{Contactor: c}, judge: judge}
		a.power = newPower(c, a.log)
		a.power.sw.Told("", true)
		for _, step := range append(steps, func() {}) {
			step()
			for range 3 {
				a.now.sensingMs += contactor.FaultAfterMs
				a.feel()
			}
		}
		said := ""
		for line := range strings.Lines(log.String()) {
			_, line, _ = strings.Cut(line, " ")
			said += line
		}
		return said
	}
	if said := feel(trade.NoContactor{}); said != "" {
		t.Errorf("without a contactor: %s", said)
	}
	if said := feel(&felt{}); said != "level=INFO msg=\"contactor has no feedback: a welded contact is not seen\"\n" {
		t.Errorf("without feedback: %s", said)
	}
	want := `level=WARN msg=contactor fault=welded trade=""
level=INFO msg="contactor is where it should be" before=welded
level=WARN msg=contactor fault=unable trade="" err="no such pin"
`
	if said := feel(line, func() { line.closed = true }, func() { line.closed = false }, func() { line.err = errors.New("no such pin") }); said != want {
		t.Errorf("%s\nwant\n%s", said, want)
	}
}
