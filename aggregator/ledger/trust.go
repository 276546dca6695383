package ledger

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"strings"
)

// Trust, as reports make it (R36, R63). Numbers are in 1e-4.
//
// Nobody but the two ends of an edge knows whether a block went over it. So a block
// that one end misses is a dispute of the two, costs both a little, and keeps the
// edge out of the tree. Who is in dispute with more than f others is in dispute with
// an honest one: that costs most of its trust, and frees the others of its disputes.
// So f liars cannot take anyone's trust below the threshold, and a liar that
// accuses more than f others falls itself. Two signatures for one place prove themselves
// (equivocation.go).
const (
	// priorE4 is the weight of the genesis' trust, an epoch of good forwarding has
	// 10,000.
	priorE4 = 40_000
	// Of what was earned and lost a sixteenth is forgotten with each epoch on which a
	// quorum has reported.
	forgetting = 16
	// condemnedE4 is what it costs to be found out: sixteen epochs' earnings, so that
	// long good conduct does not buy a betrayal.
	condemnedE4, maxBadE4 = 160_000, 640_000
	// disputeCostE4 is what a dispute costs, four times that where the same two fall out
	// again, and so on by squares; never more than down to the threshold.
	disputeCostE4 = 100
	// A dispute counts for disputeEpochs and costs for freshEpochs of them.
	disputeEpochs, freshEpochs = 32, 8
	// Who has not reported on so many epochs that a quorum did report on hides
	// something, or is down: its edges count as too expensive.
	silentEpochs = 3
)

// standing is what a data aggregator has earned and lost.
type standing struct {
	GoodE4, BadE4 uint64
	TrustE4       int64
	Condemned     bool
	Silent        uint32
	Disputes      string // with whom, ascending by place: see dispute
	Probe         uint32 // 1 + the place of the one it forwards to on probation; 0: none
	Steps         string // of its trust, oldest first: see step
}

func (s *standing) fields(c codec) {
	c.u64("good_e4", &s.GoodE4)
	c.u64("bad_e4", &s.BadE4)
	c.i64("trust_e4", &s.TrustE4)
	c.flag("condemned", &s.Condemned)
	c.u32("silent", &s.Silent)
	c.str("disputes", &s.Disputes)
	c.u32("probe", &s.Probe)
	c.str("steps", &s.Steps)
}

// A dispute is one side's: three bytes of the state.
type dispute struct{ with, left, times byte }

func parseDisputes(text string) []dispute {
	var out []dispute
	for ; len(text) >= 3; text = text[3:] {
		out = append(out, dispute{text[0], text[1], text[2]})
	}
	return out
}

func formatDisputes(all []dispute) string {
	var b strings.Builder
	for _, d := range all {
		b.Write([]byte{d.with, d.left, d.times})
	}
	return b.String()
}

func (d dispute) fresh() bool { return d.left > disputeEpochs-freshEpochs }

// The causes of a step of trust.
const (
	causeEarned    = 'e' // forwarded, as both ends say
	causeFaded     = 'f' // what was earned or lost is forgotten
	causeDispute   = 'd' // one other says that it kept blocks back, or it says so of one
	causeCondemned = 'c' // more than f others do
	causeCleared   = 'r' // no longer more than f, or those it was in dispute with are condemned
	causeTwice     = 'q' // it has signed two things for one place
)

// A step is a change of trust. Steps in a row of one cause are one.
type step struct {
	first, last   uint64 // heights of the blocks that ended the epochs
	before, after uint16
	cause, other  byte // other: the place of the other party, noOther
	height        uint64
	record        [32]byte // the report that it stands on, in the block of that height
}

const (
	stepBytes = 8 + 8 + 2 + 2 + 1 + 1 + 8 + 32
	maxSteps  = 12
	noOther   = 255
)

func (s step) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, s.first)
	b = binary.BigEndian.AppendUint64(b, s.last)
	b = binary.BigEndian.AppendUint16(b, s.before)
	b = binary.BigEndian.AppendUint16(b, s.after)
	b = append(b, s.cause, s.other)
	b = binary.BigEndian.AppendUint64(b, s.height)
	return append(b, s.record[:]...)
}

func parseSteps(text string) []step {
	var out []step
	for b := []byte(text); len(b) >= stepBytes; b = b[stepBytes:] {
		s := step{
			first: binary.BigEndian.Uint64(b), last: binary.BigEndian.Uint64(b[8:]),
			before: binary.BigEndian.Uint16(b[16:]), after: binary.BigEndian.Uint16(b[18:]),
			cause: b[20], other: b[21], height: binary.BigEndian.Uint64(b[22:]),
		}
		copy(s.record[:], b[30:])
		out = append(out, s)
	}
	return out
}

// addStep keeps the newest steps.
func addStep(text string, s step) string {
	all := parseSteps(text)
	if n := len(all); n > 0 && all[n-1].cause == s.cause && all[n-1].other == s.other && s.cause != causeDispute {
		s.first, s.before = all[n-1].first, all[n-1].before
		all = all[:n-1]
	}
	all = append(all, s)
	all = all[max(0, len(all)-maxSteps):]
	b := make([]byte, 0, len(all)*stepBytes)
	for _, one := range all {
		b = one.append(b)
	}
	return string(b)
}

// A reckoning works out at an epoch's end what trust everyone has.
type reckoning struct {
	x       *execution
	faulty  int
	next    *roster // of the next epoch
	quorate bool    // a quorum has reported on this epoch
	members []member
}

// A member of a reckoning.
type member struct {
	id       string
	votes    bool // in this epoch
	stays    bool // in the next one
	standing standing
	disputes []dispute
	report   *reported // on this epoch, nil if there is none
	known    reported  // the newest, on whichever epoch
	quarrels bool      // it has a dispute of this epoch
	step     step      // without heights and trust
	guilt    guilt
}

// reckon settles trust at the end of an epoch. What became of its accounting nodes is
// no part of it: nextOrder sees to those.
func (x *execution) reckon(next *roster) []member {
	now := x.state.roster
	r := &reckoning{x: x, next: next, faulty: now.members.Faulty()}
	reports := 0
	for i, da := range next.all {
		m := member{
			id: da.ID, votes: i < len(now.all) && now.votes(i), stays: next.votes(i),
			standing: standing{TrustE4: da.TrustE4}, step: step{other: noOther},
		}
		x.get(keyTrust+da.ID, &m.standing)
		x.get(keyGuilt+da.ID, &m.guilt)
		m.disputes = parseDisputes(m.standing.Disputes)
		if x.get(keyReport+da.ID, &m.known) && m.votes && m.known.Epoch == x.meta.Epoch {
			m.report = &m.known
			reports++
		}
		r.members = append(r.members, m)
	}
	r.quorate = reports >= now.members.Quorum()
	if r.quorate {
		r.forget()
	}
	r.judge()
	r.earn()
	r.condemn()
	r.settle()
	return r.members
}

// forget lets old conduct count less. One liar's report must not do that.
func (r *reckoning) forget() {
	for i := range r.members {
		m := &r.members[i]
		s := &m.standing
		if !m.votes {
			s.Silent = 0
			continue
		}
		s.GoodE4 -= s.GoodE4 / forgetting
		s.BadE4 -= s.BadE4 / forgetting
		for k := range m.disputes {
			m.disputes[k].left--
		}
		m.disputes = slices.DeleteFunc(m.disputes, func(d dispute) bool { return d.left == 0 })
		if s.Silent++; m.report != nil {
			s.Silent = 0
		}
		s.Silent = min(s.Silent, silentEpochs)
		if m.guilt.Left > 0 && m.guilt.Epoch < r.x.meta.Epoch {
			m.guilt.Left--
			r.x.put(keyGuilt+m.id, &m.guilt)
		}
	}
}

// judge finds the disputes of the epoch.
func (r *reckoning) judge() {
	for child := range r.members {
		c := &r.members[child]
		if c.report == nil {
			continue
		}
		for parent := range r.members {
			if parent == child || !c.report.of(parent).failed() {
				continue
			}
			fellOut(&r.members[parent], c, child)
			fellOut(c, c, parent)
		}
	}
}

// fellOut books a dispute on one side of it. The accuser's report is the evidence.
func fellOut(m, accuser *member, with int) {
	again := dispute{byte(with), disputeEpochs, 1}
	k, have := slices.BinarySearchFunc(m.disputes, again, func(a, b dispute) int { return int(a.with) - int(b.with) })
	switch {
	case !have:
		m.disputes = slices.Insert(m.disputes, k, again)
	case m.disputes[k].left < disputeEpochs: // both may accuse each other in one epoch
		again.times = min(m.disputes[k].times+1, 15)
		m.disputes[k] = again
	}
	m.quarrels = true
	m.evidence(causeDispute, with, accuser.report)
}

// evidence notes what a step of trust would stand on.
func (m *member) evidence(cause byte, other int, report *reported) {
	m.step.cause, m.step.other = cause, byte(other)
	m.step.height, m.step.record = 0, [32]byte{}
	if report != nil {
		m.step.height = report.Height
		copy(m.step.record[:], report.ID)
	}
}

// earn gives for forwarding that both ends bear out: the part of the blocks that came
// in time, as the middle one of those says that it forwarded to. How many there were
// does not count.
func (r *reckoning) earn() {
	for parent := range r.members {
		p := &r.members[parent]
		if p.report == nil || p.quarrels {
			continue
		}
		type share struct {
			e4    uint64
			child int
		}
		var shares []share
		for child := range r.members {
			c := &r.members[child]
			if child == parent || c.report == nil {
				continue
			}
			had := c.report.of(parent)
			if came := min(had.Taken, p.report.of(child).Given); came > 0 {
				shares = append(shares, share{uint64(came) * 10_000 / uint64(had.due()), child})
			}
		}
		if len(shares) == 0 {
			continue
		}
		slices.SortStableFunc(shares, func(a, b share) int { return int(a.e4) - int(b.e4) })
		middle := shares[len(shares)/2]
		p.standing.GoodE4 += middle.e4
		p.evidence(causeEarned, middle.child, r.members[middle.child].report)
	}
}

// condemn finds who is in dispute with more than f others, or guilty.
func (r *reckoning) condemn() {
	for i := range r.members {
		m := &r.members[i]
		if !m.votes {
			continue
		}
		was := m.standing.Condemned
		guilty := m.guilt.Left > 0
		m.standing.Condemned = len(m.disputes) > r.faulty || guilty
		switch {
		case guilty && m.guilt.Epoch == r.x.meta.Epoch:
			m.standing.GoodE4, m.standing.BadE4 = 0, maxBadE4
			m.evidence(causeTwice, noOther, &reported{Height: m.guilt.Height, ID: m.guilt.ID})
		case m.standing.Condemned && m.quarrels:
			m.standing.BadE4 = min(m.standing.BadE4+condemnedE4, maxBadE4)
			m.step.cause = causeCondemned
		case was && !m.standing.Condemned:
			m.evidence(causeCleared, noOther, nil)
		}
	}
}

// costE4 is what the disputes of a member cost that are fresh and with no one who is
// condemned.
func (r *reckoning) costE4(m *member) int64 {
	var cost int64
	for _, d := range m.disputes {
		if d.fresh() && !r.members[d.with].standing.Condemned {
			cost += disputeCostE4 * int64(d.times) * int64(d.times)
		}
	}
	return cost
}

// settle works out trust and keeps it.
func (r *reckoning) settle() {
	x, threshold := r.x, r.x.params.TThreE4
	for i := range r.members {
		m := &r.members[i]
		s := &m.standing
		if !m.votes {
			continue
		}
		before := s.TrustE4
		earned := int64((priorE4*uint64(r.next.all[i].TrustE4) + 10_000*s.GoodE4) / (priorE4 + s.GoodE4 + s.BadE4))
		switch {
		case m.guilt.Left > 0:
			s.TrustE4 = 0
		case s.Condemned:
			s.TrustE4 = min(earned, max(threshold-1, 0))
		case earned >= threshold:
			s.TrustE4 = max(threshold, earned-r.costE4(m))
		default:
			s.TrustE4 = earned
		}
		s.Disputes = formatDisputes(m.disputes)
		if s.TrustE4 != before || m.quarrels {
			m.step.first, m.step.last = x.meta.Height, x.meta.Height
			m.step.before, m.step.after = uint16(before), uint16(s.TrustE4)
			switch {
			case m.step.cause != 0:
			case !s.Condemned && len(m.disputes) > 0 && s.TrustE4 > before:
				m.step.cause = causeCleared
			default:
				m.step.cause = causeFaded
			}
			s.Steps = addStep(s.Steps, m.step)
		}
	}
	r.choosePrentices()
	for i := range r.members {
		m := &r.members[i]
		have := standing{TrustE4: r.next.all[i].TrustE4}
		if x.get(keyTrust+m.id, &have); have != m.standing {
			x.put(keyTrust+m.id, &m.standing)
		}
	}
}

// choosePrentices puts some on probation: those below the threshold, who would never
// rise otherwise, and those in a dispute, of which a second accuser decides. Each
// forwards to one that has the block from its parent anyway.
func (r *reckoning) choosePrentices() {
	threshold, epoch := r.x.params.TThreE4, int(r.x.meta.Epoch%(1<<30))
	var may, trusted []int
	for i := range r.members {
		m := &r.members[i]
		if m.standing.Probe = 0; !m.stays {
			continue
		}
		low := m.standing.TrustE4 < threshold
		if !low {
			trusted = append(trusted, i)
		}
		if !m.standing.Condemned && m.standing.Silent < silentEpochs && (low || r.costE4(m) > 0) {
			may = append(may, i)
		}
	}
	for k := range min(len(may), 2*max(1, r.faulty)) { // both sides of each liar's dispute
		m := &r.members[may[(epoch+k)%len(may)]]
		for try := range trusted {
			to := trusted[(epoch+k+try)%len(trusted)]
			quarrel := slices.ContainsFunc(m.disputes, func(d dispute) bool { return int(d.with) == to })
			if to != may[(epoch+k)%len(may)] && !quarrel {
				m.standing.Probe = uint32(to) + 1
				break
			}
		}
	}
}

// coarse drops all but the three highest bits of an overhead: what is measured moves
// all the time.
func coarse(us uint32) uint32 {
	if k := bits.Len32(us) - 3; k > 0 {
		return us >> k << k
	}
	return us
}
