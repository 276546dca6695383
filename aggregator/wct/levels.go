package wct

import (
	"cmp"
	"slices"
)

// considered is how many of a dense row's cheapest edges growLevels looks at.
const considered = 32

// growLevels returns the parents of a tree that is as flat as these numbers of
// children allow: each level takes the nodes with the most, and each of those
// is put under a node of the level above that has a cheap edge to it, if any.
// The arrivals within a level are kept close together and leaves are not
// reached before the last fork, which keeps many transfers under way at once.
// O(m log d) for m measured edges of which a node has d.
func growLevels(in *Input, w *overheads, root int, children []int32) []int32 {
	g := newGrower(in, w, children)
	g.attach(offer{0, -1, int32(root)})
	classes := byChildren(in, children)
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
		g.growLevel(level, classes, slots)
	}
	return g.parent
}

// byChildren parts the nodes by their number of children, most first; of those
// with the same number the most trusted comes first.
func byChildren(in *Input, children []int32) [][]int32 {
	all := make([]ranked, in.N)
	for i := range all {
		all[i] = ranked{int64(children[i])*(FullTrustE4+1) + in.TrustE4[i], int32(i)}
	}
	rank(all)
	var classes [][]int32
	for k, r := range all {
		if k == 0 || children[r.node] != children[all[k-1].node] {
			classes = append(classes, nil)
		}
		last := len(classes) - 1
		classes[last] = append(classes[last], r.node)
	}
	return classes
}

// growLevel attaches so many nodes below the level, the best classes first.
func (g *grower) growLevel(level []int32, classes [][]int32, slots int) {
	quota := make(map[int32]int) // by number of children
	left := slots
	chain := 0 // nodes of one child that remain for later levels
	for k, class := range classes {
		class = slices.DeleteFunc(class, func(v int32) bool { return g.done[v] })
		if classes[k] = class; len(class) == 0 {
			continue
		}
		take := min(left, len(class))
		if g.links[class[0]] > 1 && take > 0 {
			// Forks of this very level may be as late as this.
			for _, u := range level {
				g.lastFork = max(g.lastFork, g.arrival[u]+g.w.unmeasured)
			}
		}
		quota[g.links[class[0]]] = take
		left -= take
		if g.links[class[0]] == 1 {
			chain = len(class) - take
		}
	}
	// A node of one child may be reached early by as much as the levels to come
	// take, if they are slow.
	early := g.w.unmeasured * int64(1+chain/max(1, slots))
	g.matchLevel(level, quota, early)
	// The rest goes wherever a link is left.
	k := 0
	for _, class := range classes {
		for _, v := range class {
			if g.done[v] || quota[g.links[v]] == 0 {
				continue
			}
			for g.free[level[k]] == 0 {
				k++
			}
			quota[g.links[v]]--
			g.attach(offer{g.arrival[level[k]] + g.w.us(int(level[k]), int(v)), level[k], v})
		}
	}
}

// matchLevel lets those of the level that have the block last choose first.
// Each takes, of its edges below the threshold, the dearest that is no later
// than what has been taken, else the cheapest.
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
