package wct

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestSVGShowsEveryNodeAndEdge: well-formed, one circle a node, one line an
// edge, as many marked as Measure counts, whatever the ids.
func TestSVGShowsEveryNodeAndEdge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t, 15)
		if rapid.Bool().Draw(t, "named") {
			for i := range in.N {
				in.IDs = append(in.IDs, strings.Repeat("<&\"'", 1+i))
			}
		}
		tree, err := Build(in, rapid.SampledFrom([]Algorithm{WCT, OCT}).Draw(t, "algorithm"))
		if err != nil {
			t.Fatal(err)
		}
		marks := map[int]string{in.N - 1: "failed & <gone>"}
		picture, err := SVG(in, tree, marks)
		if err != nil {
			t.Fatal(err)
		}
		circles, lines, over := 0, 0, 0
		for d := xml.NewDecoder(bytes.NewReader(picture)); ; {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("not well-formed: %v", err)
			}
			if e, ok := token.(xml.StartElement); ok {
				switch e.Name.Local {
				case "circle":
					circles++
				case "line":
					lines++
					if strings.Contains(e.Attr[0].Value, "over") {
						over++
					}
				}
			}
		}
		if !bytes.Contains(picture, []byte(">failed &amp; &lt;gone&gt;</text>")) {
			t.Fatal("the mark is not drawn")
		}
		if circles != in.N || lines != len(tree.Edges) || over != Measure(in, tree).EdgesOverThreshold {
			t.Fatalf("%d circles for %d nodes, %d lines for %d edges, %d marked", circles, in.N, lines, len(tree.Edges), over)
		}
	})
}

func TestSVGRefuses(t *testing.T) {
	in := uniform([]int64{9000}, []int{1})
	tree := build(t, in, WCT)
	if _, err := SVG(uniform([]int64{9000, 9000}, []int{1, 1}), tree, nil); err == nil {
		t.Error("a tree of another network was drawn")
	}
	if _, err := SVG(sparseInput(newSplitMix(1), MaxDrawn+1), tree, nil); err == nil {
		t.Error("too many nodes were drawn")
	}
}
