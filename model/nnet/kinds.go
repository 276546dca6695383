package nnet

import (
	"slices"
	"sort"

	"fairwatt/model"
)

// Kinds implements model.Scorer: the kinds of the heads that may be used live,
// in rising order.
func (n *Network) Kinds() []model.Kind {
	var out []model.Kind
	for i := range n.live {
		out = append(out, n.live[i].Kind)
	}
	sort.Slice(out, func(i, j int) bool { return out[i] < out[j] })
	return slices.Compact(out)
}
