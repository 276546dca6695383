package page

import (
	"strings"

	"fairwatt/aggregator/consensus"
	"fairwatt/aggregator/console"
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
		out.Nodes = append(out.Nodes, console.Node{
			ID: id, TrustE4: t.Network.TrustE4[k], Links: t.Network.Links[k], Root: id == t.Root,
			Failed: failed[k], Self: id == p.cfg.DA,
		})
	}
	for _, e := range t.Edges {
		out.Edges = append(out.Edges, console.Edge{
			Parent: e.From, Child: e.To,
			OverheadUs: t.Network.OverheadUs[index[e.From]][index[e.To]], Forwarded: e.Forwarded, Pulled: e.Pulled, Missed: e.Missed,
		})
	}
	return out
}

// failedIn marks the leaders of views 0..k-1 of an epoch, which have failed in
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
			words = append(words, "failed")
		}
		if id == p.cfg.DA {
			words = append(words, "this one")
		}
		marks[k] = strings.Join(words, ", ")
	}
	return wct.SVG(t.Network, t.Built, marks)
}
