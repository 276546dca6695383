package line

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// generated is a recording of three fault types at 400 rows a cycle.
func generated() string {
	var b strings.Builder
	b.WriteString("G,C,B,A,Ia,Ib,Ic,Va,Vb,Vc\n")
	for _, phases := range []string{"A", "B", "C"} {
		for k := range 1200 {
			fault := k >= 600
			b.WriteString("0")
			var iv strings.Builder
			for _, p := range []string{"C", "B", "A"} {
				b.WriteString(map[bool]string{true: ",1", false: ",0"}[fault && p == phases])
			}
			for _, v := range []bool{false, true} {
				for n, p := range []string{"A", "B", "C"} {
					x := math.Sin(2*math.Pi*float64(k)/400 - float64(n)*2*math.Pi/3)
					switch {
					case !v:
						x *= 60
						if fault && p == phases {
							x *= 12
						}
					case fault && p == phases:
						x *= 0.2
					}
					fmt.Fprintf(&iv, ",%.6f", x)
				}
			}
			b.WriteString(iv.String() + "\n")
		}
	}
	return b.String()
}

// nearest is the simplest classifier: which class's mean is nearer.
func nearest(_ context.Context, x [][]float32, fault []bool) (func([]float32) float64, error) {
	var mean [2][NumFeatures]float64
	var n [2]float64
	class := func(f bool) int {
		if f {
			return 1
		}
		return 0
	}
	for i, row := range x {
		for k, v := range row {
			mean[class(fault[i])][k] += float64(v)
		}
		n[class(fault[i])]++
	}
	return func(row []float32) float64 {
		var d [2]float64
		for c := range 2 {
			for k, v := range row {
				d[c] += math.Pow(float64(v)-mean[c][k]/n[c], 2)
			}
		}
		return d[0] / (d[0] + d[1])
	}, nil
}

func TestLeaveOneOutFindsTheUnseenType(t *testing.T) {
	set, err := Read(strings.NewReader(generated()), "generated")
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Simulations) != 3 || set.Simulations[1].Type != "B" || len(set.Simulations[1].Rows) != 1200 {
		t.Fatalf("%d simulations", len(set.Simulations))
	}
	if got := rowsPerCycle(set.Simulations); got != 400 {
		t.Errorf("%g rows a cycle", got)
	}
	results, err := LeaveOneOut(t.Context(), set, DefaultConfig(), nearest)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Detector.Recall() < 0.99 || r.Detector.Precision() < 0.99 {
			t.Errorf("%s: recall %.3f, precision %.3f", r.LeftOut, r.Detector.Recall(), r.Detector.Precision())
		}
		// The current passes through zero twice a cycle: the plain rule cannot see it all.
		if r.Plain.Recall() > 0.97 || r.Plain.Recall() < 0.5 {
			t.Errorf("%s: the plain rule's recall is %.3f", r.LeftOut, r.Plain.Recall())
		}
	}
	set.Simulations = set.Simulations[:1]
	if _, err := LeaveOneOut(t.Context(), set, DefaultConfig(), nearest); err == nil {
		t.Error("one type left out of one")
	}
}

func TestAmplitudeIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := rapid.Float64Range(0.005, 1).Draw(t, "w")
		a := rapid.Float64Range(0.01, 1e4).Draw(t, "a")
		ph := rapid.Float64Range(0, 6).Draw(t, "phase")
		if got := amplitude(a*math.Sin(ph+w), a*math.Sin(ph), w); math.Abs(got-a) > 1e-6*a {
			t.Fatalf("amplitude %g, want %g", got, a)
		}
	})
}

func TestBadInput(t *testing.T) {
	for name, in := range map[string]string{
		"empty":          "",
		"no label":       "Ia,Ib,Ic,Va,Vb,Vc\n1,2,3,4,5,6\n",
		"no current":     "Output (S),Ia,Ib,Va,Vb,Vc\n",
		"NaN":            "Output (S),Ia,Ib,Ic,Va,Vb,Vc\n0,NaN,1,1,1,1,1\n",
		"Inf":            "Output (S),Ia,Ib,Ic,Va,Vb,Vc\n0,1,1,1,1,1,1e400\n",
		"label":          "Output (S),Ia,Ib,Ic,Va,Vb,Vc\n2,1,1,1,1,1,1\n",
		"cut short line": "Output (S),Ia,Ib,Ic,Va,Vb,Vc\n0,1,1\n",
	} {
		if _, err := Read(strings.NewReader(in), name); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("Output (S),Ia,Ib,Ic,Va,Vb,Vc\n0,1,2,3,4,5,6\n1,9,9,9,9,9,9\n")
	f.Add("G,C,B,A,Ia,Ib,Ic,Va,Vb,Vc\n1,0,0,1,1,2,3,4,5,6\n")
	f.Fuzz(func(t *testing.T, in string) {
		set, err := Read(strings.NewReader(in), "fuzz")
		if err != nil {
			return
		}
		for _, s := range set.Simulations {
			for _, x := range features(s, 50) {
				for _, v := range x {
					if math.IsNaN(float64(v)) {
						t.Fatal("a feature is no number")
					}
				}
			}
		}
	})
}
