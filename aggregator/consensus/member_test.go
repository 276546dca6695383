package consensus

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/aggregator/consensus/book"
	"fairwatt/aggregator/consensus/guard"
	"fairwatt/proto/peerpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"

	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
	"google.golang.org/protobuf/proto"
)

// program is what a fuzzed member does: each draw takes a byte. Behind its end it goes on
// with numbers of no meaning.
type program struct {
	left []byte
	past uint64
}

func (p *program) Uint64() uint64 {
	if len(p.left) == 0 {
		p.past++
		return p.past * 0x9e3779b97f4a7c15
	}
	b := p.left[0]
	p.left = p.left[1:]
	return uint64(b) * 0x0101010101010101 // high and low bits alike
}

// chance is true once in so many draws.
func (f *flooder) chance(in uint64) bool { return f.rng.Uint64N(in) == in-1 }

// some are a few bytes.
func (f *flooder) some() []byte {
	b := make([]byte, f.rng.Uint64N(8))
	for k := range b {
		b[k] = byte(f.rng.Uint64())
	}
	return b
}

// known is a block of its own or that an honest member has taken, of the newest; nil for none.
func (f *flooder) known() *protos.PrePrepare {
	s := &f.sees.node.blocks
	if f.proposal != nil && f.chance(3) {
		return f.proposal
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.order) == 0 {
		return nil
	}
	back := f.rng.IntN(min(4, len(s.order)))
	return s.blocks[s.order[len(s.order)-1-back]].msg.GetPrePrepare()
}

// votes is its true vote for a block that is under way or decided, carried or not.
func (f *flooder) votes() *peerpb.Frame {
	pp := f.known()
	if pp == nil {
		return f.bundle()
	}
	view, seq, digest := pp.GetView(), pp.GetSeq(), guard.Digest(pp)
	var aux []byte
	switch f.rng.IntN(4) {
	case 0:
		aux = f.some()
	case 1:
		aux = wire.RoundAux(view + f.rng.Uint64N(4))
	}
	value := f.sign(seal.DomainVote, guard.VotePayload(pp.GetProposal().GetHeader(), pp.GetProposal().GetMetadata(), aux))
	commit, assist := f.rng.IntN(2) == 0, f.chance(4)
	if f.chance(3) {
		v := &peerpb.Voice{Signer: f.id, Signature: value, Aux: aux}
		if !commit {
			payload, err := guard.PreparePayload(f.epoch, view, seq, digest)
			if err != nil {
				f.c.t.Error(err)
			}
			v.Signature = f.sign(guard.DomainPrepare, payload)
		}
		return &peerpb.Frame{Epoch: f.epoch, Body: &peerpb.Frame_Bundle{Bundle: &peerpb.Bundle{
			View: view, Seq: seq, Digest: digest, Commit: commit, Voices: []*peerpb.Voice{v}, Want: assist,
		}}}
	}
	if !commit {
		return f.says(&protos.Message{Content: &protos.Message_Prepare{Prepare: &protos.Prepare{View: view, Seq: seq, Digest: digest, Assist: assist}}})
	}
	return f.says(&protos.Message{Content: &protos.Message_Commit{Commit: &protos.Commit{
		View: view, Seq: seq, Digest: digest, Assist: assist, Signature: &protos.Signature{Signer: f.id, Value: value, Msg: aux},
	}}})
}

// metadata is that of a block, mostly the one that belongs to its place.
func (f *flooder) metadata(view, seq uint64) []byte {
	md := &protos.ViewMetadata{ViewId: view, LatestSequence: seq}
	if f.chance(4) {
		md = &protos.ViewMetadata{
			ViewId: f.view(), LatestSequence: f.seq(), DecisionsInView: f.rng.Uint64N(3),
			BlackList: []uint64{f.rng.Uint64N(6)}, PrevCommitSignatureDigest: f.some(),
		}
	}
	raw, err := proto.Marshal(md)
	if err != nil {
		f.c.t.Error(err)
	}
	return raw
}

// proposes is a block of its own that the others can decide, or nearly one.
func (f *flooder) proposes() *peerpb.Frame {
	n := uint64(len(f.c.names))
	view, seq := f.sees.view.Load(), f.sees.last.Load()+1
	view += (f.id - 1 + n - view%n) % n // the next that it leads
	if f.chance(4) {
		seq = f.seq()
	}
	payload, err := f.c.apps[f.sees.node.cfg.Self].Propose(context.Background(), f.epoch, view, f.name, [][]byte{append([]byte("record of a liar "), f.some()...)})
	if err != nil {
		f.c.t.Error(err)
	}
	header, _, err := split(payload)
	if err != nil {
		f.c.t.Error(err)
	}
	p := &protos.Proposal{Header: header, Payload: payload, Metadata: f.metadata(view, seq)}
	switch f.rng.IntN(8) {
	case 0:
		p.Header = f.some()
	case 1:
		p.Payload = f.some()
	case 2:
		p.VerificationSequence = 1
	}
	f.proposal = &protos.PrePrepare{View: view, Seq: seq, Proposal: p}
	return f.relays(view, seq, &protos.Message{Content: &protos.Message_PrePrepare{PrePrepare: f.proposal}})
}

// knows is view data of true blocks: an older decision or too few votes, and one under way.
func (f *flooder) knows(view uint64) *protos.SignedViewData {
	vd := &protos.ViewData{NextView: view, LastDecision: &protos.Proposal{}, InFlightPrepared: f.rng.IntN(2) == 0}
	app := f.sees.node.cfg.App
	if height := app.Height() - min(app.Height(), f.rng.Uint64N(3)); height > f.sees.epoch.LastHeight {
		if cb, err := app.Block(height); err == nil {
			if p, votes, _, err := f.sees.decisionOf(cb); err == nil {
				vd.LastDecision = &protos.Proposal{Header: p.Header, Payload: p.Payload, Metadata: p.Metadata}
				for _, v := range votes[f.rng.IntN(2):] {
					vd.LastDecisionSignatures = append(vd.LastDecisionSignatures, &protos.Signature{Signer: v.ID, Value: v.Value, Msg: v.Msg})
				}
			}
		}
	}
	if pp := f.known(); pp != nil && f.rng.IntN(4) > 0 {
		vd.InFlightProposal = proto.CloneOf(pp.GetProposal())
		if f.chance(4) {
			vd.InFlightProposal.Metadata = f.metadata(f.view(), f.seq())
		}
	}
	return f.signs(vd)
}

// more are kinds that are as near to the truth as a liar can come.
var more = map[string]func(f *flooder) *peerpb.Frame{
	"true votes": (*flooder).votes,
	"own blocks": (*flooder).proposes,
	"true view data": func(f *flooder) *peerpb.Frame {
		return f.says(&protos.Message{Content: &protos.Message_ViewData{ViewData: f.knows(f.view())}})
	},
	"true new views": func(f *flooder) *peerpb.Frame {
		nv := f.shows(true)
		if next, ok := changes(&protos.Message{Content: &protos.Message_NewView{NewView: nv}}); ok {
			nv.SignedViewData[0] = f.knows(next)
		}
		f.rng.Shuffle(len(nv.SignedViewData), func(a, b int) {
			nv.SignedViewData[a], nv.SignedViewData[b] = nv.SignedViewData[b], nv.SignedViewData[a]
		})
		return f.says(&protos.Message{Content: &protos.Message_NewView{NewView: nv}})
	},
	"marks": func(f *flooder) *peerpb.Frame {
		own := f.seals([]seal.Domain{guard.DomainMark, guard.DomainResumption}[f.rng.IntN(2)], &peerpb.Mark{Epoch: f.near(f.epoch), Said: f.rng.Uint64N(1 << 20)})
		return &peerpb.Frame{Epoch: f.near(f.epoch), Height: f.near(f.sees.node.cfg.App.Height()), Mark: own, Body: &peerpb.Frame_Status{Status: &peerpb.Status{Yours: own, Told: f.rng.Uint64()}}}
	},
	"ends of the epoch": func(f *flooder) *peerpb.Frame {
		sealed, err := f.c.apps[f.name].Rejoin(f.epoch)
		if err != nil {
			f.c.t.Error(err)
		}
		return &peerpb.Frame{Epoch: f.epoch, Body: &peerpb.Frame_Records{Records: &peerpb.Records{Sealed: [][]byte{sealed, f.some()}}}}
	},
	"bytes": func(f *flooder) *peerpb.Frame {
		return &peerpb.Frame{Epoch: f.epoch, Body: &peerpb.Frame_Message{Message: f.some()}}
	},
}

// saying is all that a fuzzed member can say, in an order that stays.
var saying = func() (out []func(f *flooder) *peerpb.Frame) {
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		out = append(out, kinds[kind])
	}
	for _, kind := range slices.Sorted(maps.Keys(more)) { // twice as often
		out = append(out, more[kind], more[kind])
	}
	return out
}()

// doing is the number of things that a program can do: it says something, or one of the last.
var doing = len(saying) + 24

// steps bounds what a program does.
const steps = 64

// act runs the program: frames to some of the others, records of theirs, lines that fail, and
// time.
func (f *flooder) act(p *program, honest []string) {
	for range steps {
		if len(p.left) == 0 {
			return
		}
		if i := f.c.node(honest[f.rng.IntN(len(honest))]).instance(); i != nil {
			f.sees, f.epoch = i, i.epoch.Number
		}
		switch what := f.rng.IntN(doing); {
		case f.sees == nil || what >= len(saying)+12:
			time.Sleep(time.Duration(f.rng.Uint64N(256)) * 3 * time.Millisecond)
		case what >= len(saying)+9:
			f.c.heal()
		case what >= len(saying)+6:
			one := honest[f.rng.IntN(len(honest))]
			f.c.partition([]string{one}, slices.DeleteFunc(slices.Clone(f.c.names), func(da string) bool { return da == one }))
		case what >= len(saying):
			f.c.submit(honest[f.rng.IntN(len(honest))], 100)
		default:
			frame, to := saying[what](f), f.rng.Uint64N(8)
			frame.Sender = f.name
			for k, da := range honest {
				if to&(1<<k) == 0 { // mostly all
					f.send(da, frame)
				}
			}
		}
	}
}

// restarts looks at why instances end. A node ends its own where the library would go back on
// its word or has locked itself up. What a message brings about by itself is a fault.
type restarts struct {
	slog.Handler
	t *testing.T
}

func (*restarts) Enabled(context.Context, slog.Level) bool { return true }
func (h *restarts) WithAttrs([]slog.Attr) slog.Handler     { return h }

func (h *restarts) Handle(_ context.Context, r slog.Record) error {
	if r.Message != "agreement restarts" {
		return nil
	}
	r.Attrs(func(a slog.Attr) bool {
		err, ok := a.Value.Any().(error)
		if ok && !slices.ContainsFunc([]error{
			book.ErrBelow, book.ErrSecond, book.ErrPast, book.ErrSilent, book.ErrStale, errSeized, errWaits,
		}, func(by error) bool { return errors.Is(err, by) }) && !strings.Contains(err.Error(), "gave up waiting for a block") {
			h.t.Errorf("an instance faults: %v", err)
		}
		return true
	})
	return nil
}

// Whatever a member signs with its own true keys and sends, to whom it likes, while lines fail,
// no other panics or faults, and no two blocks stand at a height. That they go on deciding is
// not asked here: TestFloodOfKinds asks it of each kind, and TestSimulation of members that lie.
func FuzzMember(f *testing.F) {
	code := func(what int) byte { return byte(what*256/doing) + 1 }
	for who := range byte(4) {
		f.Add([]byte{who})
	}
	for kind := range saying { // each after a record
		f.Add([]byte{byte(kind), 0, code(len(saying)), 0, 1, code(kind), 0, 0, 0, 0, 0, 0, 0, code(kind), 1, 2, 3, 4, 5, 6, 7, 0, code(kind), 255, 254})
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 4, 8, lan)
			p := &program{left: raw}
			rng := rand.New(p)
			who := c.names[rng.IntN(len(c.names))]
			member := newFlooder(t, c, who)
			member.rng = rng
			honest := slices.DeleteFunc(slices.Clone(c.names), func(da string) bool { return da == who })
			c.evil = map[string]bool{who: true}
			c.tweak = func(cfg *Config) { cfg.Logger = slog.New(&restarts{t: t}) }
			c.start(honest...)
			for _, da := range honest {
				c.until(da+" to vote", func() bool { return c.node(da).Stats().Voting })
			}
			member.act(p, honest)
			c.heal()
			for _, da := range honest {
				c.submit(da, 100)
			}
			time.Sleep(5 * time.Second)
			c.sameChain(honest...)
			for _, da := range honest {
				if s := c.node(da).Stats(); s.LeftBehind > 0 {
					t.Errorf("%s left an instance behind that did not stop: %+v", da, s)
				}
			}
		})
	})
}
