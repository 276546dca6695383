package word_test

import (
	"strings"
	"testing"

	"fairwatt/agent/word"
	"fairwatt/model"
)

// A list of words, with times of day or seconds.
func TestReadScript(t *testing.T) {
	t.Parallel()
	lines, err := word.ReadScript(strings.NewReader(`
{"t":3600.5,"ack":"E12","by":"Ada","why":"looked"}

{"t":"2026-01-01T12:00:00Z","block":true,"by":"Ada","why":"repair","until":"2026-01-01T14:00:00+01:00"}
{"t":7200,"block":true,"by":"Ada","why":"repair","for_s":60}
{"t":7300,"unblock":true,"by":"Ada"}
`))
	if err != nil || len(lines) != 4 {
		t.Fatalf("%v, %v", lines, err)
	}
	if w := lines[0].Word; w != (model.Word{Kind: model.WordAck, Rule: "E12", By: "Ada", Why: "looked"}) {
		t.Errorf("%+v", w)
	}
	if w := lines[2].Word; w.Kind != model.WordBlock || w.ForMs != 60_000 {
		t.Errorf("%+v", w)
	}
	if lines[3].Word.Kind != model.WordUnblock {
		t.Errorf("%+v", lines[3])
	}
	const first = 1_767_225_600_000 // 2026-01-01
	for _, c := range []struct {
		m    word.Moment
		unix bool
		want int64
	}{
		{lines[0].T, true, first + 3_600_500}, {lines[0].T, false, 3_600_500}, {lines[1].T, true, first + 43_200_000}, {*lines[1].Until, true, first + 46_800_000},
	} {
		if got, err := c.m.At(first, c.unix); err != nil || got != c.want {
			t.Errorf("%+v is at %d, %v; want %d", c.m, got, err, c.want)
		}
	}
	if _, err := lines[1].T.At(0, false); err == nil || !strings.Contains(err.Error(), "use seconds") {
		t.Errorf("a time of day in a trace without one: %v", err)
	}
}

func TestReadScriptRefuses(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		`{"ack":"E12","by":"Ada"}`:                         "line 1: t: missing",
		"\n" + `{"t":1,"by":"Ada"}`:                        "line 2: want one of",
		`{"t":1,"ack":"E12","unblock":true}`:               "got 2 of them",
		`{"t":1,"ack":"E12","until":5}`:                    "only a block has an end",
		`{"t":1,"block":true,"for_s":-1}`:                  "for_s",
		`{"t":-1,"ack":"E12"}`:                             "use RFC 3339, or seconds",
		`{"t":"noon","ack":"E12"}`:                         `"noon"; use RFC 3339, or seconds`,
		`{"t":1,"rule":"E12"}`:                             `unknown field "rule"`,
		`{"t":1e300,"ack":"E12"}`:                          "use RFC 3339, or seconds",
		`nonsense`:                                         "line 1",
		`{"t":1,"ack":"` + strings.Repeat("x", 1<<17):      "token too long",
		strings.Repeat(`{"t":1,"ack":"E12"}`+"\n", 10_001): "more than 10000 words",
	} {
		_, err := word.ReadScript(strings.NewReader(text))
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.60q: %v, want %q", text, err, says)
		}
	}
}
