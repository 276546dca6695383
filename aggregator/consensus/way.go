package consensus

import "time"

// progressEvery is how often a long way of catching up is told, told after a while the
// least that is.
const (
	progressEvery = 5 * time.Second
	toldRecords   = 1000
)

// A way is that of a node that catches up by blocks. Whoever holds the application holds
// it.
type way struct {
	began, newest, told time.Time
	blocks, records     uint64
}

// fetched books a block, and says now and then how far the node is.
func (n *Node) fetched(records int) {
	now, w := time.Now(), &n.way
	if w.blocks == 0 || now.Sub(w.newest) > progressEvery {
		*w = way{began: now, told: now}
	}
	w.newest = now
	w.blocks++
	w.records += uint64(records)
	if now.Sub(w.told) >= progressEvery {
		w.told = now
		n.tellWay("catching up")
	}
}

// arrived ends the way.
func (n *Node) arrived() {
	n.app.Lock()
	defer n.app.Unlock()
	if w := &n.way; w.records >= toldRecords || w.newest.Sub(w.began) >= progressEvery {
		n.tellWay("caught up")
	}
	n.way = way{}
}

func (n *Node) tellWay(what string) {
	w := &n.way
	took := max(w.newest.Sub(w.began), time.Millisecond)
	n.log.Info(what, "height", n.height.Load(), "blocks", w.blocks, "records", w.records, "took_ms", took.Milliseconds(),
		"records_per_s", int64(float64(w.records)/took.Seconds()))
}
