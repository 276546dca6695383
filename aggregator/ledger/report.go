package ledger

import (
	"encoding/binary"
	"fmt"

	"fairwatt/proto/brief"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// maxSeen bounds each count of a report, maxSeenUs an overhead (one minute).
const (
	maxSeen   = 1_000_000
	maxSeenUs = 60_000_000
)

// A sight is what a data aggregator says in its newest report of one other. Only the
// overhead lasts from report to report: three parts of what was known and one of
// what is new.
type sight struct{ Taken, Late, Missed, Given, OverheadUs uint32 }

const sightBytes = 20

// due is how many blocks the other should have brought.
func (s sight) due() uint32 { return s.Taken + s.Late + s.Missed }

// failed tells whether the other did not do its part: it kept back three blocks or
// more, and a quarter of all. One that is late costs its child some milliseconds, and
// a link that breaks off loses one or two.
func (s sight) failed() bool { return s.Missed >= 3 && 4*s.Missed >= s.due() }

// reported is a data aggregator's newest report.
type reported struct {
	Epoch, Height uint64
	ID            string // of the record, 32 bytes
	Links         uint32 // 0: as the genesis says
	Seen          string // a sight for each aggregator of the genesis
}

func (r *reported) fields(c codec) {
	c.u64("epoch", &r.Epoch)
	c.u64("height", &r.Height)
	c.str("record", &r.ID)
	c.u32("links", &r.Links)
	c.str("seen", &r.Seen)
}

// of returns what the report says of the aggregator at a place of the genesis.
func (r *reported) of(place int) sight {
	if len(r.Seen) < (place+1)*sightBytes {
		return sight{}
	}
	at := func(k int) uint32 { return binary.BigEndian.Uint32([]byte(r.Seen[place*sightBytes+4*k:])) }
	return sight{at(0), at(1), at(2), at(3), at(4)}
}

func (s sight) append(b []byte) []byte {
	for _, v := range []uint32{s.Taken, s.Late, s.Missed, s.Given, s.OverheadUs} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}

// report keeps a data aggregator's report until the epoch ends: trust and tree follow
// from all of an epoch together, so that their order in the blocks does not count.
func (x *execution) report(da string, r *fairwattpb.Report) *Refusal {
	if r.Epoch != x.meta.Epoch {
		return refuse(wire.CodeEpochOver, "epoch: a report on %d, the present one is %d", r.Epoch, x.meta.Epoch)
	}
	var before reported
	if x.get(keyReport+da, &before) && before.Epoch == r.Epoch {
		return refuse(wire.CodeReportExists, "%q has reported on epoch %d in block %d", da, r.Epoch, before.Height)
	}
	said := make([]sight, len(x.state.roster.all))
	for i := range said {
		said[i].OverheadUs = before.of(i).OverheadUs
	}
	for _, s := range r.Seen {
		i, ok := x.state.roster.places[s.Da]
		if !ok {
			return refuse(wire.CodeUnknownParticipant, "seen.da: %s is no data aggregator of this chain", brief.Quote(s.Da))
		}
		known := said[i].OverheadUs
		switch {
		case s.OverheadUs == 0:
		case known == 0:
			known = s.OverheadUs
		default:
			known = (3*known + s.OverheadUs) / 4
		}
		said[i] = sight{s.Taken, s.Late, s.Missed, s.Given, known}
	}
	now := reported{Epoch: r.Epoch, Height: x.state.meta.Height + 1, ID: string(x.record.ID[:]), Links: r.Links}
	b := make([]byte, 0, len(said)*sightBytes)
	for _, s := range said {
		b = s.append(b)
	}
	now.Seen = string(b)
	x.put(keyReport+da, &now)
	return nil
}

// report checks what can be seen on the report alone.
func (l *limits) report(r *fairwattpb.Report, sender string) {
	l.check(r.Epoch >= 1, "epoch", "1 or more")
	l.between("links", int64(r.Links), 0, MaxDAs)
	l.check(len(r.Seen) <= MaxDAs, "seen", "at most 200")
	last := ""
	for _, s := range r.Seen {
		l.name("seen.da", s.Da)
		l.check(s.Da != sender, "seen.da", "another than the sender")
		l.check(s.Da > last, "seen.da", "ascending, without repeats")
		last = s.Da
		for _, c := range []struct {
			name  string
			value uint32
		}{{"taken", s.Taken}, {"late", s.Late}, {"missed", s.Missed}, {"given", s.Given}} {
			l.between("seen."+c.name, int64(c.value), 0, maxSeen)
		}
		l.between("seen.overhead_us", int64(s.OverheadUs), 0, maxSeenUs)
	}
}

// byReports tells whether trust and tree follow from reports.
func (p *Params) byReports() bool { return p.Trust == TrustByReports }

// Reporting tells a data aggregator that wants to report the counter for its record,
// and the epoch of its newest report, 0 before the first.
func (s *State) Reporting(da string) (counter, newest uint64, err error) {
	counter, _, err = s.Rejoining(da)
	if err != nil {
		return 0, 0, err
	}
	var r reported
	s.mu.RLock()
	defer s.mu.RUnlock()
	if b, ok := s.tree.get(keyReport + da); ok {
		if err := decodeValue(b, &r); err != nil {
			return 0, 0, fmt.Errorf("state entry %q: %w", keyReport+da, err)
		}
	}
	return counter, r.Epoch, nil
}
