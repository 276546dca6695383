package wct

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strconv"
)

// MaxDrawn is the most nodes that SVG draws.
const MaxDrawn = 5000

// Measures of the picture, in pixels.
const (
	svgColumn, svgRow = 128, 92 // from node to node
	svgSide, svgTop   = 44, 112 // free space
	svgRadius         = 19
)

const svgStyle = `<style>
svg { background: #fff; font-family: system-ui, "Segoe UI", Roboto, sans-serif; }
text { fill: #17211b; font-size: 12px; text-anchor: middle; }
.head { font-size: 15px; font-weight: 700; text-anchor: start; }
.line { font-size: 12px; text-anchor: start; fill: #566159; }
.sub { fill: #566159; font-size: 10.5px; text-anchor: start; paint-order: stroke; stroke: #fff; stroke-width: 3px; }
.ms { fill: #566159; font-size: 10.5px; }
.edge { stroke: #566159; stroke-width: 1.6; }
.over { stroke: #9b1c1c; stroke-width: 2.6; stroke-dasharray: 6 3; }
.overms { fill: #9b1c1c; font-size: 10.5px; font-weight: 700; }
.label { fill: #fff; }
.node { fill: #e2f4e8; stroke: #14653a; stroke-width: 1.6; }
.root { stroke-width: 4; }
.untrusted { fill: #fdf0d5; stroke: #7a4a00; stroke-dasharray: 4 2; }
.alone { fill: #fff; stroke: #9b1c1c; stroke-dasharray: 2 3; }
.mark { font-size: 11px; font-weight: 700; paint-order: stroke; stroke: #fff; stroke-width: 3px; }
@media (prefers-color-scheme: dark) {
svg { background: #1a211d; }
text { fill: #e4ebe6; }
.line, .sub, .ms { fill: #a3b0a8; }
.sub, .mark { stroke: #1a211d; }
.edge { stroke: #a3b0a8; }
.over { stroke: #ff8f8f; }
.overms { fill: #ff8f8f; }
.label { fill: #1a211d; }
.node { fill: #17392a; stroke: #63d39b; }
.untrusted { fill: #40300f; stroke: #f0b95a; }
.alone { fill: #1a211d; stroke: #ff8f8f; }
}
</style>
`

// A drawing lays a tree out by depth. Every leaf takes one column; every parent
// stands above the middle of its children. All coordinates are whole pixels.
type drawing struct {
	bytes.Buffer
	in     *Input
	t      *Tree
	w      *overheads
	marks  map[int]string
	x, y   []int
	column int
	depth  int
}

// SVG draws the tree as a standalone picture: score (of trusted nodes), trust
// and links of each node, and the overhead of each edge. It marks edges over the
// threshold, untrusted nodes and unattached nodes. Marks are words to put over
// nodes, such as "failed"; nil is none. The same tree and marks give the same
// bytes. An input of more than MaxDrawn nodes is an error.
func SVG(in *Input, t *Tree, marks map[int]string) ([]byte, error) {
	if in.N > MaxDrawn {
		return nil, fmt.Errorf("tree of %d nodes, at most %d are drawn", in.N, MaxDrawn)
	}
	if len(t.parent) != in.N {
		return nil, fmt.Errorf("tree of %d nodes for n = %d", len(t.parent), in.N)
	}
	d := &drawing{in: in, t: t, w: in.overheads(), marks: marks, x: make([]int, in.N), y: make([]int, in.N)}
	d.place()
	columns := max(d.column, 4)
	width := 2*svgSide + columns*svgColumn
	height := svgTop + d.depth*svgRow + svgRadius + 72
	fmt.Fprintf(d, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">`+"\n", width, height, width, height)
	d.head(height)
	for _, e := range t.Edges {
		d.edge(e[0], e[1])
	}
	for _, e := range t.Edges { // above all lines
		d.overhead(e[0], e[1])
	}
	for i := range in.N {
		d.node(i)
	}
	d.WriteString("</svg>\n")
	return d.Bytes(), nil
}

// place computes where the nodes stand.
func (d *drawing) place() {
	depth := make([]int, d.in.N)
	for _, e := range d.t.Edges {
		depth[e[1]] = depth[e[0]] + 1
		d.depth = max(d.depth, depth[e[1]])
	}
	// Leaves from left to right, without recursion: a chain may be long.
	stack := []int{d.t.Root}
	for len(stack) > 0 {
		v := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		children := d.t.Children(v)
		if len(children) == 0 {
			d.x[v] = svgSide + svgRadius + d.column*svgColumn
			d.column++
		}
		for k := len(children) - 1; k >= 0; k-- {
			stack = append(stack, children[k])
		}
	}
	for k := len(d.t.Sequence) - 1; k >= 0; k-- {
		v := d.t.Sequence[k]
		if c := d.t.Children(v); len(c) > 0 {
			d.x[v] = (d.x[c[0]] + d.x[c[len(c)-1]]) / 2
		}
		d.y[v] = svgTop + depth[v]*svgRow
	}
	if len(d.t.Unattached) > 0 {
		d.depth++
	}
	for k, v := range d.t.Unattached {
		d.x[v], d.y[v] = svgSide+svgRadius+k*svgColumn, svgTop+d.depth*svgRow
	}
	d.column = max(d.column, len(d.t.Unattached))
}

func (d *drawing) head(height int) {
	m := Measure(d.in, d.t)
	name := map[Algorithm]string{WCT: "Weighted communication tree", LFT: "Links first tree", TFT: "Trust first tree",
		OCT: "Overhead-aware communication tree"}[d.t.Algorithm]
	fmt.Fprintf(d, "<title>%s of %d nodes</title>\n%s", name, d.in.N, svgStyle)
	fmt.Fprintf(d, `<text class="head" x="%d" y="26">%s (%s), %d nodes</text>`+"\n", svgSide/2, name, d.t.Algorithm, d.in.N)
	trust := "-"
	if m.Trust != nil {
		trust = fmt.Sprintf("%.4f, coverage %.4f", *m.Trust, *m.Coverage)
	}
	foot := "amber, dashed: trust under the threshold"
	if len(d.t.Unattached) > 0 {
		foot += "; white, in the last row: no link was left"
	}
	for _, line := range []struct {
		y    int
		text string
	}{
		{46, fmt.Sprintf("last receipt after %s, level by level %s; %d at once",
			milliseconds(m.TimeExactUs), milliseconds(m.TimeLevelUs), m.ConcurrencyExact)},
		{62, fmt.Sprintf("trust %s; %d of %d edges over %s",
			trust, m.EdgesOverThreshold, len(d.t.Edges), milliseconds(d.in.OverheadThresholdUs))},
		{height - 28, "thick ring: root; red, dashed edge: over the overhead threshold"},
		{height - 12, foot},
	} {
		fmt.Fprintf(d, `<text class="line" x="%d" y="%d">%s</text>`+"\n", svgSide/2, line.y, line.text)
	}
}

func (d *drawing) edge(p, c int) {
	class := "edge"
	if d.w.us(p, c) > d.in.OverheadThresholdUs {
		class = "edge over"
	}
	fmt.Fprintf(d, `<line class="%s" x1="%d" y1="%d" x2="%d" y2="%d"/>`+"\n", class, d.x[p], d.y[p], d.x[c], d.y[c])
}

func (d *drawing) overhead(p, c int) {
	us, class := d.w.us(p, c), "ms"
	if us > d.in.OverheadThresholdUs {
		class = "overms"
	}
	// Nearer to the child, where edges of one parent are apart.
	x, y := (d.x[p]+2*d.x[c])/3, (2*d.y[p]+3*d.y[c])/5
	fmt.Fprintf(d, `<rect class="label" x="%d" y="%d" width="46" height="14" rx="3"/><text class="%s" x="%d" y="%d">%s</text>`+"\n",
		x-23, y-10, class, x, y+1, milliseconds(us))
}

func (d *drawing) node(i int) {
	trusted := d.in.TrustE4[i] >= d.in.TrustThresholdE4
	class := "node"
	if !trusted {
		class += " untrusted"
	}
	if i == d.t.Root {
		class += " root"
	} else if d.t.parent[i] < 0 {
		class += " alone"
	}
	name := strconv.Itoa(i)
	if d.in.IDs != nil {
		name = d.in.IDs[i]
	}
	links := "links"
	if d.in.Links[i] == 1 {
		links = "link"
	}
	about := []string{"trust " + tenThousandths(d.in.TrustE4[i]), fmt.Sprintf("%d %s", d.in.Links[i], links)}
	if trusted {
		about = append(about, "score "+tenThousandths(d.in.TrustWeight*d.in.TrustE4[i]+d.in.LinkWeight*int64(d.in.Links[i])*FullTrustE4))
	}
	fmt.Fprintf(d, `<g><title>%s: %s, %s</title><circle class="%s" cx="%d" cy="%d" r="%d"/>`,
		escaped(name), about[0], about[1], class, d.x[i], d.y[i], svgRadius)
	fmt.Fprintf(d, `<text x="%d" y="%d">%s</text>`, d.x[i], d.y[i]+4, escaped(shortened(name)))
	if word := d.marks[i]; word != "" {
		fmt.Fprintf(d, `<text class="mark" x="%d" y="%d">%s</text>`, d.x[i], d.y[i]-svgRadius-5, escaped(word))
	}
	for k, line := range about {
		fmt.Fprintf(d, `<text class="sub" x="%d" y="%d">%s</text>`, d.x[i]+svgRadius+5, d.y[i]-7+12*k, line)
	}
	d.WriteString("</g>\n")
}

func milliseconds(us int64) string { return fmt.Sprintf("%d.%d ms", us/1000, us%1000/100) }

// tenThousandths writes v/1e4.
func tenThousandths(v int64) string { return fmt.Sprintf("%d.%04d", v/FullTrustE4, v%FullTrustE4) }

func shortened(name string) string {
	if r := []rune(name); len(r) > 6 {
		return string(r[:5]) + "…"
	}
	return name
}

func escaped(s string) string {
	var b bytes.Buffer
	if err := xml.EscapeText(&b, []byte(s)); err != nil {
		return "" // a bytes.Buffer does not fail
	}
	return b.String()
}
