package ledger

import (
	"encoding/binary"
	"slices"

	"fairwatt/aggregator/wct"
)

// A branch is what the trees know of one data aggregator. It follows what is
// reported with some delay: see renew.
type branch struct {
	TrustE4    int64
	Links      uint32
	OverheadUs string // to each aggregator of the genesis: 4 bytes
	Apart      string // the places of those that it is to send nothing to, ascending
}

func (b *branch) fields(c codec) {
	c.i64("trust_e4", &b.TrustE4)
	c.u32("links", &b.Links)
	c.str("overhead_us", &b.OverheadUs)
	c.str("apart", &b.Apart)
}

// rebuilt says when the trees were last built anew, and why.
type rebuilt struct {
	Height, Epoch uint64
	Reason        string
}

func (r *rebuilt) fields(c codec) {
	c.u64("height", &r.Height)
	c.u64("epoch", &r.Epoch)
	c.str("reason", &r.Reason)
}

// The reasons beyond those of package wct.
const (
	reasonThreshold = "threshold" // someone is trusted now, or is so no more
	reasonMembers   = "members"   // others take part
	reasonEdges     = "edges"     // two fell out, or fell silent, or may send to each other again
)

// us is the overhead to the aggregator at a place of the genesis.
func (b *branch) us(place int) int64 {
	return int64(binary.BigEndian.Uint32([]byte(b.OverheadUs[4*place:])))
}

// formatBranch is a node of an input in the order of the genesis.
func formatBranch(in *wct.Input, i int) branch {
	b := branch{TrustE4: in.TrustE4[i], Links: uint32(in.Links[i])}
	row := make([]byte, 0, 4*in.N)
	for _, us := range in.OverheadUs[i] {
		row = binary.BigEndian.AppendUint32(row, uint32(us))
	}
	b.OverheadUs = string(row)
	return b
}

// weighEpochs is how often a faster tree is looked for. With fifty aggregators that takes
// a tenth of a second of each, and what is measured moves all the time.
const weighEpochs = 8

// adopted is what the trees in use are built from, by place.
func (s *State) adopted(get func(string, value) bool, r *roster) *wct.Input {
	in := s.networkOf(r)
	for i, da := range r.all {
		var b branch
		if !get(keyTree+da.ID, &b) || len(b.OverheadUs) > 4*in.N {
			continue
		}
		in.TrustE4[i], in.Links[i] = b.TrustE4, int(b.Links)
		for j := range len(b.OverheadUs) / 4 { // who came later is not in it
			in.OverheadUs[i][j] = b.us(j)
		}
	}
	return in
}

// branch is what the trees in use know of one data aggregator; s.mu is held.
func (s *State) branch(at int) branch {
	b := formatBranch(s.adopted(s.read, s.roster), at)
	var kept branch
	if s.read(keyTree+s.roster.all[at].ID, &kept) {
		b.Apart = kept.Apart
	}
	return b
}

// picked is an input over the same nodes in another order.
func picked(in *wct.Input, order []int) *wct.Input {
	out := *in
	out.N, out.TrustE4, out.Links, out.OverheadUs = len(order), nil, nil, nil
	for _, i := range order {
		out.TrustE4 = append(out.TrustE4, in.TrustE4[i])
		out.Links = append(out.Links, in.Links[i])
		row := make([]int64, 0, len(order))
		for _, j := range order {
			row = append(row, in.OverheadUs[i][j])
		}
		out.OverheadUs = append(out.OverheadUs, row)
	}
	return &out
}

// reported is the network as the members say it is now, and who is to send nothing to
// whom. An overhead is the greater of what its two ends have measured: who lies about
// one can make edges of its own dearer, and no others.
func (x *execution) reported(members []member, next *roster) (in *wct.Input, apart []string) {
	in = x.state.networkOf(next)
	most := in.OverheadThresholdUs
	for i := range members {
		m := &members[i]
		if !m.stays {
			continue
		}
		in.TrustE4[i] = m.standing.TrustE4
		if said := int(m.known.Links); said > 0 {
			in.Links[i] = min(in.Links[i], said)
		}
		for j := range members {
			if !members[j].stays {
				continue
			}
			if us := max(m.known.of(j).OverheadUs, members[j].known.of(i).OverheadUs); us > 0 && i != j {
				in.OverheadUs[i][j] = int64(coarse(us))
			}
			most = max(most, in.OverheadUs[i][j])
		}
	}
	for i := range members {
		m := &members[i]
		var from []byte
		for j := range members {
			if !m.stays || !members[j].stays {
				continue
			}
			fellOut := slices.ContainsFunc(m.disputes, func(d dispute) bool { return int(d.with) == j })
			if i != j && (fellOut || m.standing.Silent >= silentEpochs || members[j].standing.Silent >= silentEpochs) {
				in.OverheadUs[i][j] = most + 1 // worse than any other way
				from = append(from, byte(j))
			}
		}
		apart = append(apart, string(from))
	}
	return in, apart
}

// nextSequence is the sequence of the communication tree from the next epoch on,
// without failures.
func (x *execution) nextSequence(next *roster) []int {
	s := x.state
	in := s.adopted(x.get, next)
	if !x.params.byReports() {
		return x.sequence(in, next)
	}
	now, apart := x.reported(x.reckon(next), next)
	if reason := x.renew(in, now, apart, next); reason != "" {
		for _, i := range next.active() {
			da := next.all[i]
			b := formatBranch(now, i)
			b.Apart = apart[i]
			x.put(keyTree+da.ID, &b)
		}
		x.put(keyRebuilt, &rebuilt{Height: x.meta.Height, Epoch: x.meta.Epoch + 1, Reason: reason})
		in = now
	}
	return x.sequence(in, next)
}

func (x *execution) sequence(in *wct.Input, next *roster) []int {
	active := next.active()
	sequence, err := sequenceOf(in, active)
	if err != nil {
		x.fail(keyTree, err)
		return active
	}
	return sequence
}

// renew says why the trees are to be built anew, and "" where those in use stay: a
// tree that follows every measurement moves edges all the time, and each costs a
// connection.
func (x *execution) renew(in, now *wct.Input, apart []string, next *roster) string {
	active := next.active()
	if !slices.Equal(active, x.state.roster.active()) {
		return reasonMembers
	}
	for _, i := range active {
		var b branch
		x.get(keyTree+next.all[i].ID, &b)
		switch {
		case b.Apart != apart[i]:
			return reasonEdges
		case now.Links[i] < in.Links[i]:
			return string(wct.ReasonLinks)
		case (now.TrustE4[i] < now.TrustThresholdE4) != (in.TrustE4[i] < in.TrustThresholdE4):
			return reasonThreshold
		}
	}
	if x.meta.Epoch%weighEpochs != 0 {
		return ""
	}
	order := x.state.meta.places()
	if slices.Equal(x.sequence(in, next), x.sequence(now, next)) && slices.Equal(now.Links, in.Links) && slices.EqualFunc(now.OverheadUs, in.OverheadUs, slices.Equal) {
		return "" // only trust has moved, and it orders them as before
	}
	used, err := wct.BuildLed(x.ranked(in, active), wct.Algorithm(x.params.Tree), rank(order, active))
	if err != nil {
		x.fail(keyTree, err)
		return ""
	}
	_, reason, err := wct.Update(x.ranked(now, active), used, wct.DefaultHysteresis())
	switch {
	case err != nil:
		x.fail(keyTree, err)
	case reason != wct.ReasonKept:
		return string(reason)
	}
	return ""
}

// ranked is the part of an input by place that the members are in, by rank among them.
func (x *execution) ranked(in *wct.Input, active []int) *wct.Input {
	return picked(x.withoutFailed(in), active)
}

// rank gives places as ranks among the members.
func rank(places, active []int) []int {
	out := make([]int, len(places))
	for k, place := range places {
		out[k], _ = slices.BinarySearch(active, place)
	}
	return out
}

// withoutFailed counts those that failed as accounting nodes as not trusted, as who
// builds the trees does, the root of the epoch excepted.
func (x *execution) withoutFailed(in *wct.Input) *wct.Input {
	out := *in
	out.TrustE4 = slices.Clone(in.TrustE4)
	m := &x.state.meta
	for _, i := range m.places()[1:] {
		if m.Failed[i] > 0 {
			out.TrustE4[i] = 0
		}
	}
	return &out
}
