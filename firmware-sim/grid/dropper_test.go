package grid

import (
	"crypto/ed25519"
	"testing"

	"google.golang.org/protobuf/proto"

	"fairwatt/aggregator"
	"fairwatt/proto/peerpb"
	"fairwatt/proto/seal"
)

// sentTo counts what reaches the link below.
type sentTo struct {
	aggregator.Link
	frames int
}

func (s *sentTo) Send(string, []byte) { s.frames++ }

// A forwarder that drops blocks keeps back those of others and nothing else.
func TestDropperKeepsBackOthersBlocks(t *testing.T) {
	relay := func(origin string) *peerpb.Frame {
		key := ed25519.NewKeyFromSeed(make([]byte, 32))
		sealed, err := seal.Seal(key, origin, seal.DomainRelay, [32]byte{1}, []byte("header"))
		if err != nil {
			t.Fatal(err)
		}
		return &peerpb.Frame{Sender: "da-2", Body: &peerpb.Frame_Relay{Relay: &peerpb.Relay{Seal: sealed}}}
	}
	for _, tc := range []struct {
		name  string
		frame *peerpb.Frame
		drops bool
	}{
		{"a block of another", relay("da-1"), true},
		{"an own block", relay("da-2"), false},
		{"a vote", &peerpb.Frame{Sender: "da-2", Body: &peerpb.Frame_Message{Message: []byte{1}}}, false},
		{"a status", &peerpb.Frame{Sender: "da-2", Body: &peerpb.Frame_Status{Status: &peerpb.Status{}}}, false},
	} {
		raw, err := proto.Marshal(tc.frame)
		if err != nil {
			t.Fatal(err)
		}
		below := &sentTo{}
		d := &dropper{Link: below, self: "da-2"}
		d.Send("da-3", raw)
		if dropped := below.frames == 0; dropped != tc.drops || (d.withheld.Load() == 1) != tc.drops {
			t.Errorf("%s: dropped %v, %d counted, want dropped %v", tc.name, dropped, d.withheld.Load(), tc.drops)
		}
	}
}
