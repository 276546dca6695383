package page

import (
	"strings"

	"fairwatt/aggregator/consensus"
	"fairwatt/aggregator/console"
	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/wct"
)

// tree is the communication tree of the running view, with what the genesis
// says of its nodes and edges.
func (p *Page) tree() console.Tree {
	t := p.needs.Agreement().Tree()
	failed := failedIn(&t)
	index := make(map[string]int, len(t.Members))
	for k, id := range t.Members {
		index[id] = k
	}
	out := console.Tree{Algorithm: string(t.Built.Algorithm), Nodes: []console.Node{}, Edges: []console.Edge{}, Unattached: t.Direct}
	for _, id := range t.Order {
		k := index[id]
		node := console.Node{
			ID: id, TrustE4: t.Network.TrustE4[k], Links: t.Network.Links[k], Root: id == t.Root,
			Failed: failed[k], Self: id == p.cfg.DA,
		}
		if w, ok := p.state.Why(id); ok {
			node.EarnedE4, node.Condemned, node.Disputes, node.Probation = w.TrustE4, w.Condemned, len(w.Disputes), w.ProbationTo
			if len(w.Steps) > 0 {
				node.Why, node.WhyHeight = w.Steps[0].Text, w.Steps[0].Height
			}
		}
		out.Nodes = append(out.Nodes, node)
	}
	for _, e := range t.Edges {
		out.Edges = append(out.Edges, console.Edge{
			Parent: e.From, Child: e.To,
			OverheadUs: t.Network.OverheadUs[index[e.From]][index[e.To]], Forwarded: e.Forwarded, Pulled: e.Pulled, Missed: e.Missed,
		})
	}
	return out
}

// Standing implements console.Source: parent and children are those of the running view.
func (p *Page) Standing(da string) (*ledger.Standing, bool) {
	w, ok := p.state.Why(da)
	if !ok {
		return nil, false
	}
	t := p.needs.Agreement().Tree()
	for _, e := range t.Edges {
		switch da {
		case e.From:
			w.Children = append(w.Children, e.To)
		case e.To:
			w.Parent = e.From
		}
	}
	return w, true
}

// failedIn marks the leaders of views 0..k-1 of an epoch, which were deposed in
// it, by place in the epoch's order.
func failedIn(t *consensus.Tree) map[int]bool {
	failed := make(map[int]bool)
	for k := range min(t.View, uint64(len(t.Members))) {
		failed[int(k)] = t.Members[k] != t.Root
	}
	return failed
}

// TreeSVG implements console.Source.
func (p *Page) TreeSVG() ([]byte, error) {
	t := p.needs.Agreement().Tree()
	failed := failedIn(&t)
	marks := make(map[int]string)
	for k, id := range t.Members {
		var words []string
		if id == t.Root {
			words = append(words, "root")
		}
		if failed[k] {
			words = append(words, "deposed")
		}
		if id == p.cfg.DA {
			words = append(words, "this one")
		}
		marks[k] = strings.Join(words, ", ")
	}
	return wct.SVG(t.Network, t.Built, marks)
}
