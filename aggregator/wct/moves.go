package wct

// propose changes the tree somewhere. False if the change drawn is impossible.
func (s *search) propose() bool {
	u := s.pick()
	switch k := s.rng.below(16); {
	case k < 5:
		return s.moveNear(u)
	case k < 10:
		return s.swapNear(u)
	case k < 12:
		return s.trySwapNodes(u, s.anyNode())
	case k < 13:
		return s.trySwapSubtrees(u, s.anyNode())
	case k < 14:
		return s.tryMove(u, s.anyNode())
	}
	return s.splice(u)
}

func (s *search) anyNode() int32 { return s.nodes[s.rng.below(len(s.nodes))] }

// pick draws a node, half the time from the way to the node reached last: only a
// change there can make the tree faster.
func (s *search) pick() int32 {
	if s.rng.next()&1 == 0 {
		return s.anyNode()
	}
	s.path = s.path[:0]
	for u := s.root; u >= 0; {
		s.path = append(s.path, u)
		last := int32(-1)
		for c := s.first[u]; c >= 0 && last < 0; c = s.next[c] {
			if s.in[c]+s.below[c] == s.below[u] {
				last = c
			}
		}
		u = last
	}
	s.work += len(s.path) >> 6 // matters only in very deep trees
	return s.path[s.rng.below(len(s.path))]
}

// moveNear puts u under one of its cheapest senders. If that sender has no link
// free, it exchanges u with one of the sender's children.
func (s *search) moveNear(u int32) bool {
	if len(s.senders[u]) == 0 {
		return false
	}
	p := s.senders[u][s.rng.below(len(s.senders[u]))]
	if s.tryMove(u, p) {
		return true
	}
	c := s.first[p]
	if c < 0 {
		return false
	}
	for skip := s.rng.below(int(min(s.kids[p], near))); skip > 0; skip-- {
		c = s.next[c]
	}
	if s.rng.next()&1 == 0 {
		return s.trySwapNodes(u, c)
	}
	return s.trySwapSubtrees(u, c)
}

// swapNear replaces u by one of the cheapest receivers of u's parent, or by one
// of the cheapest senders to a child of u.
func (s *search) swapNear(u int32) bool {
	from, at := s.takers, s.parent[u]
	if c := s.first[u]; at < 0 || c >= 0 && s.rng.next()&1 == 0 {
		from, at = s.senders, c
	}
	if at < 0 || len(from[at]) == 0 {
		return false
	}
	return s.trySwapNodes(u, from[at][s.rng.below(len(from[at]))])
}

func (s *search) attached(u int32) bool { return s.parent[u] >= 0 || u == s.root }

func (s *search) trySwapNodes(u, v int32) bool {
	if u == v || s.kids[u] > s.links[v] || s.kids[v] > s.links[u] || !s.attached(v) {
		return false
	}
	if s.rootStays && (u == s.root || v == s.root) {
		return false
	}
	s.swapNodes(u, v)
	return true
}

func (s *search) trySwapSubtrees(u, v int32) bool {
	if s.parent[u] == s.parent[v] || !s.attached(v) || s.isUnder(u, v) || s.isUnder(v, u) {
		return false
	}
	s.swapSubtrees(u, v)
	return true
}

func (s *search) tryMove(u, p int32) bool {
	if s.kids[p] >= s.links[p] || s.parent[u] == p || u == s.root || !s.attached(p) || s.isUnder(p, u) {
		return false
	}
	s.cut(u)
	s.link(u, p)
	return true
}

// splice takes u, which has one child or none, out of its chain and puts it
// between another node and that node's parent.
func (s *search) splice(u int32) bool {
	if s.kids[u] > 1 || u == s.root || s.links[u] < 1 {
		return false
	}
	c := s.anyNode()
	if t := s.takers[u]; len(t) > 0 && s.rng.next()&1 == 0 {
		c = t[s.rng.below(len(t))]
	}
	child, p := s.first[u], s.parent[u]
	if c == u || c == child || c == s.root || !s.attached(c) {
		return false
	}
	s.cut(u)
	if child >= 0 {
		s.cut(child)
		s.link(child, p)
	}
	q := s.parent[c]
	s.cut(c)
	s.link(u, q)
	s.link(c, u)
	return true
}
