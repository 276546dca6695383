package wct

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestTreeProperties: every node stands once in the sequence and is root,
// child or unattached, once; links are respected; a parent is attached before
// it sends; and no node is left while a reached node has a free link.
func TestTreeProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "n")
		in := randomInput(newSplitMix(rapid.Uint64().Draw(t, "seed")), n)
		in.Links = rapid.SliceOfN(rapid.IntRange(0, 4), n, n).Draw(t, "links")
		in.TrustWeight = rapid.Int64Range(0, MaxWeight).Draw(t, "wt")
		in.LinkWeight = rapid.Int64Range(0, 3).Draw(t, "wl")
		in.TrustThresholdE4 = rapid.Int64Range(0, FullTrustE4).Draw(t, "threshold")
		algorithm := rapid.SampledFrom([]Algorithm{WCT, LFT, TFT, OCT}).Draw(t, "algorithm")
		tree, err := Build(in, algorithm)
		if err != nil {
			t.Fatal(err)
		}
		checkTree(t, in, tree)
	})
}

func checkTree(t interface{ Fatalf(string, ...any) }, in *Input, tree *Tree) {
	sorted := slices.Sorted(slices.Values(tree.Sequence))
	for i, v := range sorted {
		if i != v || len(sorted) != in.N {
			t.Fatalf("sequence %v is no permutation", tree.Sequence)
		}
	}
	attached, children := make([]bool, in.N), make([]int, in.N)
	attached[tree.Root] = true
	for _, e := range tree.Edges {
		if !attached[e[0]] || attached[e[1]] {
			t.Fatalf("edge %v from an unattached or to an attached node", e)
		}
		attached[e[1]] = true
		children[e[0]]++
		if p, ok := tree.Parent(e[1]); !ok || p != e[0] || !slices.Contains(tree.Children(p), e[1]) {
			t.Fatalf("edge %v, but parent %d", e, p)
		}
	}
	for _, v := range tree.Unattached {
		if attached[v] {
			t.Fatalf("%d is both attached and not", v)
		}
		attached[v] = true
	}
	for v := range in.N {
		if !attached[v] || children[v] > in.Links[v] || children[v] != len(tree.Children(v)) {
			t.Fatalf("node %d: seen %v, %d children, %d links", v, attached[v], children[v], in.Links[v])
		}
		if tree.Algorithm != OCT && len(tree.Unattached) > 0 && !slices.Contains(tree.Unattached, v) && children[v] < in.Links[v] {
			t.Fatalf("node %d has a free link while %v wait", v, tree.Unattached)
		}
	}
	if m := Measure(in, tree); m.TimeExactUs > m.TimeLevelUs || m.Depth > len(tree.Edges) {
		t.Fatalf("metrics %+v", m)
	}
}

// TestTFTIsTrustOptimal compares TFT with every order of a few nodes (R53).
func TestTFTIsTrustOptimal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "n")
		in := randomInput(newSplitMix(rapid.Uint64().Draw(t, "seed")), n)
		in.Links = rapid.SliceOfN(rapid.IntRange(1, 3), n, n).Draw(t, "links")
		tree, err := Build(in, TFT)
		if err != nil {
			t.Fatal(err)
		}
		best := Measure(in, tree).TrustSumE4
		order := slices.Clone(tree.Sequence)
		for range 100 {
			other := NewTree("", rapid.Permutation(order).Draw(t, "order"), in.Links)
			if sum := Measure(in, other).TrustSumE4; sum > best {
				t.Fatalf("order %v has %d, TFT %d", other.Sequence, sum, best)
			}
		}
	})
}

const good = `{"n":2,"t_e4":[9000,8500],"l":[1,2],"w_us":[[0,700],[900,0]],"wt":1,"wl":1,"t_thre_e4":8000,"w_thre_us":8000}`

func TestParseInputNamesWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{good, ``, "no input"},
		{good, good + `{}`, "more after the object"},
		{`"n":2`, `"n":0`, "n is 0"},
		{`"n":2`, `"n":-1`, "n is -1"},
		{`"n":2`, `"n":3`, "t_e4 has 2 values for n = 3"},
		{`"n":2,`, ``, "missing field n"},
		{`"wl":1,`, ``, "missing field wl"},
		{`"l":[1,2]`, `"l":[1]`, "l has 1 values"},
		{`"l":[1,2]`, `"l":[1,-2]`, "l[1] is -2"},
		{`9000`, `10001`, "t_e4[0] is 10001"},
		{`9000`, `-1`, "t_e4[0] is -1"},
		{`9000`, `0.9`, "t_e4"},
		{`[900,0]`, `[900]`, "w_us[1] has 1 values"},
		{`,[900,0]`, ``, "w_us has 1 rows"},
		{`700`, `-700`, "w_us[0][1] is -700"},
		{`"w_us":[[0,700],[900,0]],`, ``, "missing field w_us"},
		{`"wt":1`, `"wt":-1`, "wt is -1"},
		{`"t_thre_e4":8000`, `"t_thre_e4":10001`, "t_thre_e4 is 10001"},
		{`"w_thre_us":8000`, `"w_thre_us":-5`, "w_thre_us is -5"},
		{`"wt":1`, `"weight":1`, `unknown field "weight"`},
		{`"w_us":[[0,700],[900,0]]`, `"w_sparse_us":[[0,1]]`, "w_sparse_us[0] has 2 numbers"},
		{`"w_us":[[0,700],[900,0]]`, `"w_sparse_us":[[0,1,7],[0,1,8]]`, "lists edge 0 to 1 twice"},
		{`"w_us":[[0,700],[900,0]]`, `"w_sparse_us":[[0,2,7]]`, "no edge 0 to 2"},
		{`"w_us":[[0,700],[900,0]]`, `"w_sparse_us":[[-1,2,7]]`, "no node -1"},
		{`"wt":1`, `"wt":1,"w_sparse_us":[]`, "both w_us and w_sparse_us"},
	} {
		_, err := ParseInput([]byte(strings.Replace(good, c.old, c.new, 1)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s -> %s: error %v, want %s", c.old, c.new, err, c.want)
		}
	}
}

// TestUnlistedEdgesCount as one microsecond over the threshold.
func TestUnlistedEdgesCount(t *testing.T) {
	in, err := ParseInput([]byte(strings.Replace(good, `"w_us":[[0,700],[900,0]]`, `"w_sparse_us":[[0,1,7]]`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	tree, err := Build(in, WCT) // node 1 is the root, and 1 to 0 is not listed
	if err != nil {
		t.Fatal(err)
	}
	if m := Measure(in, tree); m.TimeExactUs != 8001 || m.EdgesOverThreshold != 1 || tree.ExpensiveDemoted != 1 {
		t.Errorf("%+v", m)
	}
}

func TestAlgorithmsThatAreNot(t *testing.T) {
	in := uniform([]int64{9000}, []int{1})
	if _, err := Build(in, "WCT"); err == nil {
		t.Error("an unknown name was taken")
	}
}

func FuzzParseInput(f *testing.F) {
	files, err := filepath.Glob("testdata/e*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(strings.Replace(good, `"w_us":[[0,700],[900,0]]`, `"w_sparse_us":[[0,1,7]]`, 1)))
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := ParseInput(b)
		if err != nil {
			return
		}
		for _, a := range []Algorithm{WCT, LFT, TFT, OCT} {
			tree, err := Build(in, a)
			if err != nil {
				t.Fatalf("a valid input was refused: %v", err)
			}
			checkTree(t, in, tree)
		}
	})
}
