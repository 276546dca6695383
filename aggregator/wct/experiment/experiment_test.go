package experiment

import (
	"bytes"
	"context"
	"encoding/csv"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"fairwatt/aggregator/wct"
)

func run(t *testing.T, o Options) *Results {
	t.Helper()
	r, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestGenerateIsTheReferences: the means of an independent implementation of
// the generator and of the paper's trees, 200 seeds of 50 nodes.
func TestGenerateIsTheReferences(t *testing.T) {
	var wctMs, tftMs, lftMs, trust, coverage, over float64
	for seed := range uint64(200) {
		in := Generate(50, seed+1, Uniform)
		for _, c := range []struct {
			a   wct.Algorithm
			sum *float64
		}{{wct.WCT, &wctMs}, {wct.TFT, &tftMs}, {wct.LFT, &lftMs}} {
			tree, err := wct.Build(in, c.a)
			if err != nil {
				t.Fatal(err)
			}
			v := valuesOf(in, tree)
			*c.sum += v[ExactMs] / 200
			if c.a == wct.WCT {
				trust += v[Trust] / 200
				coverage += v[Coverage] / 200
				over += v[EdgesOver] / 200
			}
		}
	}
	for _, c := range []struct {
		what            string
		got, want, near float64
	}{
		{"WCT ms", wctMs, 40.6, 0.05},
		{"TFT ms", tftMs, 71.5, 0.05},
		{"LFT ms", lftMs, 35.1, 0.05},
		{"trust", trust, 0.9015, 0.00005},
		{"coverage", coverage, 0.719, 0.0005},
		{"edges over", over, 10.3, 0.05},
	} {
		if math.Abs(c.got-c.want) > c.near {
			t.Errorf("%s is %.4f, want %.4f", c.what, c.got, c.want)
		}
	}
}

func TestGenerateKeepsToTheShares(t *testing.T) {
	for _, model := range Models {
		in := Generate(50, 3, model)
		if err := in.Validate(); err != nil {
			t.Fatal(err)
		}
		var links [4]int
		honest := 0
		for i := range 50 {
			links[in.Links[i]]++
			if in.TrustE4[i] > 8000 {
				honest++
			}
			if in.OverheadUs[i][i] != 0 {
				t.Errorf("%s: node %d has overhead to itself", model, i)
			}
			for j := range 50 {
				if model != Asymmetric && in.OverheadUs[i][j] != in.OverheadUs[j][i] {
					t.Errorf("%s: %d to %d is not as back", model, i, j)
				}
			}
		}
		if links != [4]int{0, 39, 8, 3} || honest != 40 {
			t.Errorf("%s: links %v, %d honest", model, links, honest)
		}
	}
	sparse := GenerateSparse(100, 1, 16)
	if err := sparse.Validate(); err != nil || len(sparse.SparseOverheadUs) != 1600 {
		t.Errorf("%d measured edges, %v", len(sparse.SparseOverheadUs), err)
	}
}

func TestISqrt(t *testing.T) {
	for v := range int64(5000) {
		if r := isqrt(v); r*r > v || (r+1)*(r+1) <= v {
			t.Errorf("root of %d is not %d", v, r)
		}
	}
	if isqrt(2*9999*9999) != 14140 {
		t.Error("the square's diagonal")
	}
}

// TestWorkersChangeNothing: every file's bytes, however many workers.
func TestWorkersChangeNothing(t *testing.T) {
	files := func(workers int) (all []byte) {
		r := run(t, Options{Sizes: []int{10, 50}, Seeds: 2, BestSeeds: 1, Workers: workers})
		var b bytes.Buffer
		for _, f := range Figures {
			if err := r.WriteCSV(&b, f); err != nil {
				t.Fatal(err)
			}
			for _, p := range Plots(f) {
				for _, format := range []string{"svg", "png"} {
					if err := r.WritePlot(&b, p, format); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		if err := r.WriteClaims(&b); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	if one := files(1); !bytes.Equal(one, files(4)) || len(one) < 100_000 {
		t.Error("four workers wrote other bytes than one")
	}
}

func TestBoundsHold(t *testing.T) {
	r := run(t, Options{Sizes: []int{10, 20}, Seeds: 5, Workers: 2})
	for _, n := range r.Networks {
		bound := n.Values[LowerBound][ExactMs]
		for m := range numMethods {
			if v := n.Values[m][ExactMs]; m != BestFound && (math.IsNaN(v) || v < bound) {
				t.Errorf("%s of %d nodes, seed %d: %s takes %v, bound %v", n.Overheads, n.N, n.Seed, m.Name(), v, bound)
			}
			if tr := n.Values[m][Trust]; tr > n.Values[TFT][Trust]+1e-12 && m != Star && m != Gossip {
				t.Errorf("%s trusts more than TFT", m.Name())
			}
		}
		if octWorse(&n) {
			t.Errorf("%s of %d nodes, seed %d: oct is worse", n.Overheads, n.N, n.Seed)
		}
		if !n.SameRaw {
			t.Errorf("%s of %d nodes, seed %d: raw weights made a difference", n.Overheads, n.N, n.Seed)
		}
	}
}

func TestSummarise(t *testing.T) {
	s := summarise([]float64{1, 2, math.NaN(), 3})
	// Student's 0.975 quantile of 2 degrees is 4.3027, over the root of 3.
	if s.Seeds != 3 || s.Mean != 2 || math.Abs(s.High-2-2.4841) > 1e-3 || math.Abs(s.High+s.Low-4) > 1e-12 {
		t.Errorf("%+v", s)
	}
	if s := summarise(nil); !math.IsNaN(s.Mean) || s.Seeds != 0 {
		t.Errorf("%+v", s)
	}
	if s := summarise([]float64{4}); s.Low != 4 || s.High != 4 {
		t.Errorf("%+v", s)
	}
}

func TestRunStops(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, Options{Sizes: []int{10}, Seeds: 1, Workers: 1}); err == nil {
		t.Error("it ran on")
	}
	if _, err := Scale(ctx, time.Now); err == nil {
		t.Error("the scale ran on")
	}
}

func TestCSVHasARowForEachMethod(t *testing.T) {
	r := run(t, Options{Sizes: []int{10}, Seeds: 1, Workers: 1})
	var b bytes.Buffer
	if err := r.WriteCSV(&b, Figure7); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&b).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, row := range rows[1:] {
		if row[5] == "time_exact_ms" {
			seen[strings.Join(row[2:5], " ")] = true
		}
	}
	if len(seen) != int(numMethods)-1 { // best found is searched for at 50 nodes only
		t.Errorf("methods %v", seen)
	}
}

func TestScalePlot(t *testing.T) {
	points := []ScalePoint{{wct.WCT, 1000, 16, time.Millisecond, 90}, {wct.WCT, 10_000, 16, 9 * time.Millisecond, 100},
		{wct.OCT, 1000, 16, 80 * time.Millisecond, 50}, {wct.OCT, 10_000, 16, 100 * time.Millisecond, 80}}
	var b bytes.Buffer
	if err := WriteScalePlot(&b, points, "svg"); err != nil || !strings.Contains(b.String(), "<svg") {
		t.Errorf("%d bytes, %v", b.Len(), err)
	}
	b.Reset()
	if err := WriteScaleCSV(&b, points); err != nil || strings.Count(b.String(), "\n") != 5 || !strings.Contains(b.String(), "oct,1000,16,80.00,80.000,50.0") {
		t.Errorf("%s, %v", b.String(), err)
	}
}

// docs/experiments.md, "In the running system": that the root is given costs
// next to nothing.
func TestGivenRootCostsLittle(t *testing.T) {
	seeds := uint64(4)
	if os.Getenv("FAIRWATT_LONG") != "" {
		seeds = 16
	}
	for _, model := range []Overheads{Uniform, Planar} {
		var free, led float64
		for seed := uint64(1); seed <= seeds; seed++ {
			in := Generate(50, seed, model)
			base, err := wct.Build(in, wct.WCT)
			if err != nil {
				t.Fatal(err)
			}
			chosen, err := wct.Build(in, wct.OCT)
			if err != nil {
				t.Fatal(err)
			}
			given, err := wct.BuildLed(in, wct.OCT, base.Sequence)
			if err != nil {
				t.Fatal(err)
			}
			us := float64(wct.Measure(in, base).TimeExactUs) * float64(seeds)
			free += float64(wct.Measure(in, chosen).TimeExactUs) / us
			led += float64(wct.Measure(in, given).TimeExactUs) / us
		}
		t.Logf("%s, %d networks of 50: exact time %.3f of the WCT's with a free root, %.3f with the WCT's", model, seeds, free, led)
		if led > free*1.1 {
			t.Errorf("%s: %.3f with the WCT's root, %.3f with a free one", model, led, free)
		}
	}
}
