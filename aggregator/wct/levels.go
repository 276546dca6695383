package wct

import (
	"cmp"
	"slices"
)

// considered is how many of a dense row's cheapest edges growLevels looks at.
const considered = 32

// growLevels returns the parents of a tree that is as flat as these numbers of
// children allow. Each level takes the nodes with the most children. Each of
// them goes under a node of the level above with a cheap edge to it, if there is
// one. Arrivals within a level stay close together, and no leaf is reached
// before the last fork: so many transfers are under way at once. O(m log d) for
// m measured edges, d to a node.
func growLevels(in *Input, w *overheads, root int, children []int32) []int32 {
	g := newGrower(in, w, children)
	g.attach(offer{0, -1, int32(root)})
	g.classes = byChildren(in, children)
	for _, c := range g.classes {
		if c.links == g.links[root] {
			c.left--
		}
	}
	for begin := 0; begin < len(g.reached); {
		level := slices.Clone(g.reached[begin:])
		begin = len(g.reached)
		slots := 0
		for _, u := range level {
			slots += int(g.free[u])
			if g.links[u] > 1 {
				g.lastFork = max(g.lastFork, g.arrival[u])
			}
		}
		g.growLevel(level, slots)
	}
	return g.parent
}

// A class holds the nodes with one number of children, the most trusted first.
type class struct {
	links int32
	nodes []int32 // some at the front may be attached by now
	left  int     // nodes not attached
}

// byChildren divides the nodes into classes, most children first.
func byChildren(in *Input, children []int32) []*class {
	all := make([]ranked, in.N)
	for i := range all {
		all[i] = ranked{int64(children[i])*(FullTrustE4+1) + in.TrustE4[i], int32(i)}
	}
	rank(all)
	var classes []*class
	for k, r := range all {
		if k == 0 || children[r.node] != children[all[k-1].node] {
			classes = append(classes, &class{links: children[r.node]})
		}
		c := classes[len(classes)-1]
		c.nodes = append(c.nodes, r.node)
		c.left++
	}
	return classes
}

// growLevel attaches nodes below the level, one for each slot, the best classes
// first.
func (g *grower) growLevel(level []int32, slots int) {
	quota := make(map[int32]int) // by number of children
	left := slots
	chain := 0 // nodes of one child that remain for later levels
	begin := len(g.reached)
	g.classes = slices.DeleteFunc(g.classes, func(c *class) bool {
		for c.left > 0 && len(c.nodes) > 0 && g.done[c.nodes[0]] {
			c.nodes = c.nodes[1:]
		}
		return c.left == 0
	})
	for _, c := range g.classes {
		take := min(left, c.left)
		if c.links > 1 && take > 0 {
			// A fork of this level may have the block as late as this.
			for _, u := range level {
				g.lastFork = max(g.lastFork, g.arrival[u]+g.w.unmeasured)
			}
		}
		quota[c.links] = take
		left -= take
		if c.links == 1 {
			chain = c.left - take
		}
	}
	// A node of one child may have the block early, by as much as slow levels
	// to come take.
	early := g.w.unmeasured * int64(1+chain/max(1, slots))
	g.matchLevel(level, quota, early)
	// The other nodes go wherever a link is left.
	k := 0
	for _, c := range g.classes {
		for _, v := range c.nodes {
			if quota[c.links] == 0 {
				break
			}
			if g.done[v] {
				continue
			}
			for g.free[level[k]] == 0 {
				k++
			}
			quota[c.links]--
			g.attach(offer{g.arrival[level[k]] + g.w.us(int(level[k]), int(v)), level[k], v})
		}
	}
	attached := make(map[int32]int)
	for _, v := range g.reached[begin:] {
		attached[g.links[v]]++
	}
	for _, c := range g.classes {
		c.left -= attached[c.links]
	}
}

// matchLevel lets the nodes of the level that have the block last choose first.
// Of its edges below the threshold, each node takes the most expensive one that
// arrives no later than those already taken, or else the cheapest.
func (g *grower) matchLevel(level []int32, quota map[int32]int, early int64) {
	slices.SortFunc(level, func(a, b int32) int {
		return cmp.Or(cmp.Compare(g.arrival[b], g.arrival[a]), cmp.Compare(a, b))
	})
	latest := int64(0)
	for _, u := range level {
		g.near = g.near[:0]
		for _, e := range g.w.takers(int(u)) {
			links, at := g.links[e.node], g.arrival[u]+e.us
			if g.done[e.node] || quota[links] == 0 || e.us >= g.w.unmeasured {
				continue
			}
			if links > 1 || at >= g.lastFork-int64(links)*early {
				g.near = append(g.near, e)
			}
		}
		slices.SortFunc(g.near, byUs)
		for len(g.near) > 0 && g.free[u] > 0 {
			k := 0
			for k+1 < len(g.near) && g.arrival[u]+g.near[k+1].us <= latest {
				k++
			}
			e := g.near[k]
			g.near = slices.Delete(g.near, k, k+1)
			if quota[g.links[e.node]] > 0 {
				quota[g.links[e.node]]--
				g.attach(offer{g.arrival[u] + e.us, u, e.node})
				latest = max(latest, g.arrival[u]+e.us)
			}
		}
	}
}
