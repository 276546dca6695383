package consensus

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"fairwatt/aggregator/peer"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/peerpb"

	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
	"google.golang.org/protobuf/proto"
)

// simLink mistreats what a machine sends, and lies where the machine is a liar's.
type simLink struct {
	sim   *simulation
	of    *simNode
	inner *peer.MemoryLink

	before map[uint64]uint64 // what the machine had said when this run of it began
	node   atomic.Pointer[Node]

	mu   sync.Mutex
	past [][]byte
}

func (l *simLink) Send(to string, frame []byte) {
	s := l.sim
	f, m := &peerpb.Frame{}, &protos.Message{}
	if proto.Unmarshal(frame, f) != nil || proto.Unmarshal(f.GetMessage(), m) != nil {
		s.fail("%s sends what cannot be decoded", l.of.alias)
		return
	}
	if !s.evil[l.of.name] {
		s.heard(l, f, m)
		s.counted(l, f.GetMark())
	} else if frame = l.lie(to, frame, f, m); frame == nil {
		return
	}
	l.deliver(to, frame)
	if s.chance(0.01) {
		l.deliver(to, frame)
	}
	if s.chance(0.005) {
		late := time.Duration(s.draw(2000)) * time.Millisecond
		time.AfterFunc(late, func() { l.deliver(to, frame) })
	}
}

// deliver sends to all machines of a name.
func (l *simLink) deliver(to string, frame []byte) {
	l.inner.Send(to, frame)
	if l.sim.evil[to] && l.sim.lies == "twins" {
		l.inner.Send(to+"b", frame)
	}
}

// lie is what a liar sends instead; nil is nothing.
func (l *simLink) lie(to string, frame []byte, f *peerpb.Frame, m *protos.Message) []byte {
	s := l.sim
	switch s.lies {
	case "silent":
		if f.GetStatus() == nil {
			return nil
		}
	case "withhold":
		if m.GetCommit() != nil || m.GetViewData() != nil || f.GetBundle() != nil {
			return nil
		}
	case "drop": // it forwards no block
		if f.GetRelay() != nil {
			return nil
		}
	case "misvote": // it changes the votes of others that it carries
		if b := f.GetBundle(); b != nil && len(b.GetVoices()) > 0 {
			v := b.GetVoices()[s.draw(len(b.GetVoices()))]
			switch s.draw(3) {
			case 0:
				v.Signature[s.draw(len(v.Signature))] ^= 1
			case 1:
				v.Signer = 1 + uint64(s.draw(len(s.names)))
			default:
				b.Digest = strings.Repeat("b", 64)
			}
			if raw, err := proto.Marshal(f); err == nil {
				return raw
			}
		}
	case "garble":
		if s.draw(4) == 0 {
			frame = append([]byte{}, frame...)
			frame[s.draw(len(frame))] ^= 1 << s.draw(8)
		}
	case "replay":
		l.mu.Lock()
		l.past = append(l.past, frame)
		if len(l.past) > 2000 {
			l.past = l.past[1000:]
		}
		old := l.past[s.draw(len(l.past))]
		l.mu.Unlock()
		if s.draw(3) == 0 {
			l.deliver(to, old)
		}
	case "flood":
		for range 5 {
			l.deliver(to, frame)
		}
	case "forge":
		if s.draw(4) == 0 {
			l.deliver(to, l.forged(f))
		}
	}
	return frame
}

// forged is an unsigned message of the liar's own name.
func (l *simLink) forged(f *peerpb.Frame) []byte {
	s := l.sim
	view, seq := uint64(s.draw(6)), uint64(s.draw(6))
	m := &protos.Message{}
	switch s.draw(6) {
	case 0:
		m.Content = &protos.Message_ViewChange{ViewChange: &protos.ViewChange{NextView: view}}
	case 1:
		m.Content = &protos.Message_HeartBeat{HeartBeat: &protos.HeartBeat{View: view, Seq: seq}}
	case 2:
		m.Content = &protos.Message_StateTransferResponse{StateTransferResponse: &protos.StateTransferResponse{ViewNum: view, Sequence: seq}}
	case 3:
		m.Content = &protos.Message_NewView{NewView: &protos.NewView{SignedViewData: []*protos.SignedViewData{{Signer: 1 + view%4}}}}
	case 4:
		m.Content = &protos.Message_Prepare{Prepare: &protos.Prepare{View: view, Seq: seq, Digest: strings.Repeat("a", 64)}}
	default:
		m.Content = &protos.Message_HeartBeatResponse{HeartBeatResponse: &protos.HeartBeatResponse{View: view}}
	}
	raw, err := proto.Marshal(m)
	if err != nil {
		s.fail("%v", err)
		return nil
	}
	out, err := proto.Marshal(&peerpb.Frame{Epoch: f.GetEpoch(), Height: f.GetHeight() + seq, Sender: l.of.name, Body: &peerpb.Frame_Message{Message: raw}})
	if err != nil {
		s.fail("%v", err)
	}
	return out
}

func (l *simLink) Pull(ctx context.Context, from string, ref *peerpb.PullRequest) (*peerpb.Relay, error) {
	return l.inner.Pull(ctx, l.which(from), ref)
}

func (l *simLink) Fetch(ctx context.Context, from string, lo, hi uint64, fn func(*fairwattpb.CertifiedBlock) error) error {
	return l.inner.Fetch(ctx, l.which(from), lo, hi, fn)
}

func (l *simLink) which(name string) string {
	if l.sim.evil[name] && l.sim.lies == "twins" && l.sim.draw(2) == 0 {
		return name + "b"
	}
	return name
}

// Propose bends the block of a liar: a wrong root, or the hash of another block below.
func (a *simApp) Propose(ctx context.Context, epoch, view uint64, leader string, records [][]byte) ([]byte, error) {
	raw, err := a.fakeApp.Propose(ctx, epoch, view, leader, records)
	if err == nil && a.bend != nil {
		raw = a.bend(raw)
	}
	return raw, err
}

// bent changes one root of a block.
func bent(raw []byte) []byte {
	b, h := &fairwattpb.Block{}, &fairwattpb.BlockHeader{}
	if errors.Join(proto.Unmarshal(raw, b), proto.Unmarshal(b.GetHeader(), h)) != nil {
		return raw
	}
	h.RecordsRoot = append([]byte{1}, h.RecordsRoot[1:]...)
	header, err := proto.Marshal(h)
	if err != nil {
		return raw
	}
	b.Header = header
	out, err := proto.Marshal(b)
	if err != nil {
		return raw
	}
	return out
}
