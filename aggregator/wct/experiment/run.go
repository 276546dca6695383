package experiment

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"fairwatt/aggregator/wct"
)

// Sizes are the numbers of nodes measured.
var Sizes = []int{10, 20, 50, 100, 150, 200}

// Models are the ways to draw overheads.
var Models = []Overheads{Uniform, Planar, Asymmetric}

// A Method is a way to spread a block, with the weights it ranks nodes by.
type Method int

// The methods. Raw weights are the paper's. Normalised weights act on trust and
// links scaled to 0..1 over the trusted nodes; only so do they have an effect.
const (
	WCT11 Method = iota // raw, 1:1
	WCT32               // raw, 3:2
	WCT11Normalised
	WCT32Normalised
	LFT
	TFT
	OCT
	Star
	Random
	Gossip
	LowerBound
	BestFound // oct with many times its budget; for few networks only
	numMethods
)

var methodNames = [numMethods][3]string{
	{"wct", "1:1", "raw"}, {"wct", "3:2", "raw"}, {"wct", "1:1", "normalised"}, {"wct", "3:2", "normalised"},
	{"lft", "", ""}, {"tft", "", ""}, {"oct", "", ""}, {"star", "", ""}, {"random", "", ""}, {"gossip", "", ""},
	{"lower bound", "", ""}, {"best found", "", ""},
}

// Name is the algorithm's name.
func (m Method) Name() string { return methodNames[m][0] }

// Weights are w_t:w_l; empty if they do not matter.
func (m Method) Weights() string { return methodNames[m][1] }

// Scaling is raw or normalised; empty if weights do not matter.
func (m Method) Scaling() string { return methodNames[m][2] }

// A Network is one drawn network with its measures.
type Network struct {
	Overheads Overheads
	N         int
	Seed      uint64
	Values    [numMethods]Values

	SameRaw        bool // weights 1:1 and 3:2 gave the same tree, raw
	SameNormalised bool // the same, normalised
}

// Options say what to run.
type Options struct {
	Sizes     []int // numbers of nodes
	Seeds     int   // networks of each size and overhead model
	BestSeeds int   // networks of 50 nodes, of each model, that get the long search
	Workers   int
	Progress  func(done, of int) // may be nil; called by one worker at a time
}

// BestSeeds is the usual number of networks that get the long search.
const BestSeeds = 20

// The long search runs on networks of bestNodes nodes, with bestTimes oct's
// budget.
const (
	bestNodes = 50
	bestTimes = 10
)

// Results are the measured networks, by overhead model, then size, then seed.
type Results struct {
	Options  Options
	Networks []Network
}

// Run draws and measures all networks. It stops early with the context's error.
func Run(ctx context.Context, o Options) (*Results, error) {
	r := &Results{Options: o}
	for _, model := range Models {
		for _, n := range o.Sizes {
			for seed := 1; seed <= o.Seeds; seed++ {
				r.Networks = append(r.Networks, Network{Overheads: model, N: n, Seed: uint64(seed)})
			}
		}
	}
	jobs := make(chan *Network, len(r.Networks))
	for k := range r.Networks {
		jobs <- &r.Networks[k]
	}
	close(jobs)
	var mu sync.Mutex
	done := 0
	group, ctx := errgroup.WithContext(ctx)
	for range max(1, o.Workers) {
		group.Go(func() error {
			for n := range jobs {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := n.measure(n.Seed <= uint64(o.BestSeeds)); err != nil {
					return fmt.Errorf("%s network of %d nodes, seed %d: %w", n.Overheads, n.N, n.Seed, err)
				}
				if o.Progress != nil {
					mu.Lock()
					done++
					o.Progress(done, len(r.Networks))
					mu.Unlock()
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return r, nil
}

// measure draws the network and fills in everything else.
func (n *Network) measure(long bool) error {
	in := Generate(n.N, n.Seed, n.Overheads)
	for m := range n.Values {
		n.Values[m] = noValues()
	}
	trees := make(map[Method]*wct.Tree)
	for _, v := range []struct {
		method     Method
		algorithm  wct.Algorithm
		wt, wl     int64
		normalised bool
	}{
		{WCT11, wct.WCT, 1, 1, false},
		{WCT32, wct.WCT, 3, 2, false},
		{WCT11Normalised, wct.WCT, 1, 1, true},
		{WCT32Normalised, wct.WCT, 3, 2, true},
		{LFT, wct.LFT, 1, 1, false},
		{TFT, wct.TFT, 1, 1, false},
		{OCT, wct.OCT, 1, 1, false},
	} {
		weighted := *in
		weighted.TrustWeight, weighted.LinkWeight = v.wt, v.wl
		if v.normalised {
			normalise(&weighted)
		}
		t, err := wct.Build(&weighted, v.algorithm)
		if err != nil {
			return err
		}
		trees[v.method], n.Values[v.method] = t, valuesOf(in, t)
	}
	n.SameRaw = slices.Equal(trees[WCT11].Edges, trees[WCT32].Edges)
	n.SameNormalised = slices.Equal(trees[WCT11Normalised].Edges, trees[WCT32Normalised].Edges)
	root := trees[WCT11].Root
	n.Values[Star] = star(in, root)
	n.Values[Random] = randomTree(in, n.Seed)
	n.Values[Gossip] = gossip(in, root, n.Seed)
	n.Values[LowerBound] = lowerBound(in)
	if long && n.N == bestNodes {
		t, err := wct.BuildLong(in, bestTimes)
		if err != nil {
			return err
		}
		n.Values[BestFound] = valuesOf(in, t)
	}
	return nil
}

// normalise replaces the weights. The new ones act on raw trust and links as the
// given ones act on both scaled to 0..1 over the trusted nodes: the score is
// multiplied by both ranges, without the offsets, which are the same for all.
func normalise(in *wct.Input) {
	var trust, links []int64
	for i, t := range in.TrustE4 {
		if t >= in.TrustThresholdE4 {
			trust, links = append(trust, t), append(links, int64(in.Links[i]))
		}
	}
	if len(trust) == 0 {
		return
	}
	// A range of zero makes no difference, whatever its factor.
	in.TrustWeight *= max(1, slices.Max(links)-slices.Min(links)) * wct.FullTrustE4
	in.LinkWeight *= max(1, slices.Max(trust)-slices.Min(trust))
}
