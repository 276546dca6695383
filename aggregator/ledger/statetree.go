package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
)

// The state's commitment: every key falls into one of 4096 buckets by the first
// 12 bits of its SHA-256; a bucket hashes its leaves in key order; the buckets
// are the leaves of a complete binary tree. A block that touches k keys
// recomputes k leaves, at most k buckets, and their paths.
const (
	bucketBits = 12
	numBuckets = 1 << bucketBits
)

// Domain separation, so that no leaf can be shown as a node or a bucket.
const (
	leafPrefix   = 0x00
	nodePrefix   = 0x01
	bucketPrefix = 0x02
)

type item struct {
	key   string
	value []byte
	leaf  [32]byte
}

func newItem(key string, value []byte) *item {
	b := make([]byte, 0, 5+len(key)+len(value))
	b = append(b, leafPrefix)
	b = binary.BigEndian.AppendUint32(b, uint32(len(key)))
	b = append(b, key...)
	b = append(b, value...)
	return &item{key, value, sha256.Sum256(b)}
}

func bucketOf(key string) int {
	sum := sha256.Sum256([]byte(key))
	return int(binary.BigEndian.Uint16(sum[:])) >> (16 - bucketBits)
}

func bucketHash(items []*item) [32]byte {
	b := make([]byte, 0, 1+32*len(items))
	b = append(b, bucketPrefix)
	for _, it := range items {
		b = append(b, it.leaf[:]...)
	}
	return sha256.Sum256(b)
}

func nodeHash(left, right *[32]byte) [32]byte {
	var b [65]byte
	b[0] = nodePrefix
	copy(b[1:], left[:])
	copy(b[33:], right[:])
	return sha256.Sum256(b[:])
}

// stateTree holds the entries and their hashes. nodes[1] is the root, node i has the
// children 2i and 2i+1, nodes[numBuckets+b] is the hash of bucket b.
type stateTree struct {
	items   map[string]*item
	kinds   map[string]map[string]*item // the same by kind of key, for listing
	buckets [numBuckets][]*item
	nodes   [2 * numBuckets][32]byte
}

func newStateTree(entries []Entry) *stateTree {
	t := &stateTree{items: make(map[string]*item, len(entries)), kinds: make(map[string]map[string]*item)}
	for _, e := range entries {
		it := newItem(string(e.Key), e.Value)
		t.add(it)
		b := bucketOf(it.key)
		t.buckets[b] = append(t.buckets[b], it)
	}
	for b, items := range t.buckets {
		slices.SortFunc(items, func(x, y *item) int { return strings.Compare(x.key, y.key) })
		t.nodes[numBuckets+b] = bucketHash(items)
	}
	for i := numBuckets - 1; i >= 1; i-- {
		t.nodes[i] = nodeHash(&t.nodes[2*i], &t.nodes[2*i+1])
	}
	return t
}

// kindOf returns a key's prefix, up to and with its first slash.
func kindOf(key string) string { return key[:strings.IndexByte(key, '/')+1] }

func (t *stateTree) add(it *item) {
	t.items[it.key] = it
	kind := kindOf(it.key)
	if t.kinds[kind] == nil {
		t.kinds[kind] = make(map[string]*item)
	}
	t.kinds[kind][it.key] = it
}

func (t *stateTree) root() [32]byte { return t.nodes[1] }

func (t *stateTree) get(key string) ([]byte, bool) {
	it, ok := t.items[key]
	if !ok {
		return nil, false
	}
	return it.value, true
}

// treeUpdate is the effect of a block on a tree, computed without touching it.
type treeUpdate struct {
	set     []*item
	deleted []string
	buckets []bucketUpdate
	nodes   []nodeUpdate
	root    [32]byte
}

type bucketUpdate struct {
	bucket int
	items  []*item
}

type nodeUpdate struct {
	index int
	hash  [32]byte
}

// stage computes what changes would make of the tree. Keys stand at most once.
func (t *stateTree) stage(changes []Change) *treeUpdate {
	u := &treeUpdate{root: t.root()}
	type placed struct {
		bucket int
		it     *item // nil: delete
		key    string
	}
	order := make([]placed, len(changes))
	for i, c := range changes {
		p := placed{key: string(c.Key)}
		p.bucket = bucketOf(p.key)
		if c.Delete {
			u.deleted = append(u.deleted, p.key)
		} else {
			p.it = newItem(p.key, c.Value)
			u.set = append(u.set, p.it)
		}
		order[i] = p
	}
	slices.SortFunc(order, func(x, y placed) int { return x.bucket - y.bucket })
	level := make([]nodeUpdate, 0, len(order))
	for i := 0; i < len(order); {
		bucket := order[i].bucket
		items := slices.Clone(t.buckets[bucket])
		for ; i < len(order) && order[i].bucket == bucket; i++ {
			at, found := slices.BinarySearchFunc(items, order[i].key, func(it *item, key string) int {
				return strings.Compare(it.key, key)
			})
			switch {
			case found && order[i].it == nil:
				items = slices.Delete(items, at, at+1)
			case found:
				items[at] = order[i].it
			case order[i].it != nil:
				items = slices.Insert(items, at, order[i].it)
			}
		}
		u.buckets = append(u.buckets, bucketUpdate{bucket, items})
		level = append(level, nodeUpdate{numBuckets + bucket, bucketHash(items)})
	}
	u.climb(t, level)
	return u
}

// climb recomputes the paths from the changed buckets (ascending) to the root.
func (u *treeUpdate) climb(t *stateTree, level []nodeUpdate) {
	for len(level) > 0 {
		u.nodes = append(u.nodes, level...)
		if level[0].index == 1 {
			u.root = level[0].hash
			return
		}
		above := make([]nodeUpdate, 0, len(level))
		for i := 0; i < len(level); {
			parent := level[i].index / 2
			left, right := &t.nodes[2*parent], &t.nodes[2*parent+1]
			for ; i < len(level) && level[i].index/2 == parent; i++ {
				if level[i].index%2 == 0 {
					left = &level[i].hash
				} else {
					right = &level[i].hash
				}
			}
			above = append(above, nodeUpdate{parent, nodeHash(left, right)})
		}
		level = above
	}
}

func (t *stateTree) apply(u *treeUpdate) {
	for _, key := range u.deleted {
		delete(t.items, key)
		kind := kindOf(key)
		if delete(t.kinds[kind], key); len(t.kinds[kind]) == 0 {
			delete(t.kinds, kind) // each slot has its own
		}
	}
	for _, it := range u.set {
		t.add(it)
	}
	for _, b := range u.buckets {
		t.buckets[b.bucket] = b.items
	}
	for _, n := range u.nodes {
		t.nodes[n.index] = n.hash
	}
}
