package soak

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"

	"fairwatt/aggregator"
	"fairwatt/proto/peerpb"
	"fairwatt/proto/seal"
)

// lies are what a hostile data aggregator does.
var lies = []string{
	"drop",    // passes no block of others on
	"silent",  // sends nothing but its status
	"half",    // votes, but sends its votes to some of the others only
	"garble",  // flips bits
	"replay",  // sends old frames again
	"flood",   // sends each frame many times
	"partial", // leads, but sends its own blocks to some of the others only
}

const none = "none"

// A liar is the link of a hostile data aggregator: what goes out is not what
// the program wanted to send.
type liar struct {
	aggregator.Link
	self string

	mu   sync.Mutex
	rng  *rand.Rand
	lie  string
	past [][]byte
}

func newLiar(link aggregator.Link, self string, seed uint64) *liar {
	return &liar{Link: link, self: self, rng: rand.New(rand.NewPCG(seed, 0x6c696172)), lie: none}
}

func (l *liar) become(lie string) error {
	if lie != none && !slices.Contains(lies, lie) {
		return fmt.Errorf("lie: %.60q, want %s or %s", lie, none, strings.Join(lies, ", "))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lie = lie
	return nil
}

// keptFrames bounds the old frames of a liar.
const keptFrames = 2000

// Send implements aggregator.Link.
func (l *liar) Send(to string, frame []byte) {
	for _, f := range l.instead(to, frame) {
		l.Link.Send(to, f)
	}
}

// instead is what a liar sends in place of a frame.
func (l *liar) instead(to string, frame []byte) [][]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	as := [][]byte{frame}
	if l.lie == none {
		return as
	}
	f := &peerpb.Frame{}
	if err := proto.Unmarshal(frame, f); err != nil {
		return as
	}
	few := len(to) > 0 && to[len(to)-1]%2 == 0 // the half that it deceives
	switch l.lie {
	case "drop":
		if f.GetRelay() != nil && l.origin(f) != l.self {
			return nil
		}
	case "silent":
		if f.GetStatus() == nil {
			return nil
		}
	case "half":
		if f.GetMessage() != nil && few {
			return nil
		}
	case "partial":
		if f.GetRelay() != nil && l.origin(f) == l.self && few {
			return nil
		}
	case "garble":
		if len(frame) > 0 && l.rng.IntN(4) == 0 {
			bent := slices.Clone(frame)
			bent[l.rng.IntN(len(bent))] ^= 1 << l.rng.IntN(8)
			as = [][]byte{bent}
		}
	case "replay":
		if l.past = append(l.past, frame); len(l.past) > keptFrames {
			l.past = slices.Clone(l.past[keptFrames/2:])
		}
		as = append(as, l.past[l.rng.IntN(len(l.past))])
	case "flood":
		as = slices.Repeat(as, 20)
	}
	return as
}

func (l *liar) origin(f *peerpb.Frame) string {
	who, _, err := seal.Peek(f.GetRelay().GetSeal())
	if err != nil {
		return ""
	}
	return who
}
