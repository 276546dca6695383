package wct

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// TestCases compares every field of every answer with the known answers of an
// independent reference: integers exactly, the two ratios within 1e-9.
func TestCases(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) != 25 {
		t.Fatalf("%d case files, want 25 (%v)", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			in, err := ParseInput(b)
			if err != nil {
				t.Fatal(err)
			}
			var known struct {
				Expected map[Algorithm]map[string]any
			}
			if err := json.Unmarshal(b, &known); err != nil {
				t.Fatal(err)
			}
			if len(known.Expected) != 3 {
				t.Fatalf("%d answers, want 3", len(known.Expected))
			}
			for algorithm, want := range known.Expected {
				compareAnswer(t, in, algorithm, want)
				compareAnswer(t, asSparse(in), algorithm, want)
			}
		})
	}
}

func compareAnswer(t *testing.T, in *Input, algorithm Algorithm, want map[string]any) {
	t.Helper()
	tree, err := Build(in, algorithm)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(Answer{tree, Measure(in, tree)})
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	for field, w := range want {
		g, there := got[field]
		if !there {
			t.Errorf("%s: no field %s", algorithm, field)
			continue
		}
		gf, ok1 := g.(float64)
		wf, ok2 := w.(float64)
		if (field == "trust" || field == "coverage") && ok1 && ok2 {
			if math.Abs(gf-wf) > 1e-9 {
				t.Errorf("%s: %s is %v, want %v", algorithm, field, g, w)
			}
		} else if !reflect.DeepEqual(g, w) {
			t.Errorf("%s: %s is %v, want %v", algorithm, field, g, w)
		}
	}
}

// asSparse lists every edge of a dense input.
func asSparse(in *Input) *Input {
	s := *in
	s.OverheadUs, s.SparseOverheadUs = nil, []Overhead{}
	for i, row := range in.OverheadUs {
		for j, us := range row {
			if i != j {
				s.SparseOverheadUs = append(s.SparseOverheadUs, Overhead{i, j, us})
			}
		}
	}
	return &s
}
