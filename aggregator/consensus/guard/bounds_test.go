package guard

import (
	"fmt"
	"testing"
	"time"

	"fairwatt/proto/peerpb"

	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"
)

// message frames a message of the library.
func message(t testing.TB, m *protos.Message) *peerpb.Frame {
	return &peerpb.Frame{Epoch: 5, Sender: "da1", Body: &peerpb.Frame_Message{Message: marshal(t, m)}}
}

// Each kind of frame has a bound of its own, at it and one byte over.
func TestFrameBounds(t *testing.T) {
	const view = 3<<20 + 64<<10
	for _, c := range []struct {
		kind string
		most int
		f    *peerpb.Frame
	}{
		{"status", 4 << 10, &peerpb.Frame{Epoch: 5, Sender: "da1", Body: &peerpb.Frame_Status{Status: &peerpb.Status{}}}},
		{"records", 1 << 20, &peerpb.Frame{Epoch: 5, Sender: "da1", Body: &peerpb.Frame_Records{Records: &peerpb.Records{}}}},
		{"relay", 1<<20 + 64<<10, &peerpb.Frame{Epoch: 5, Sender: "da1", Body: &peerpb.Frame_Relay{Relay: &peerpb.Relay{}}}},
		{"bundle", 4<<10 + 4*512, &peerpb.Frame{Epoch: 5, Sender: "da1", Body: &peerpb.Frame_Bundle{Bundle: &peerpb.Bundle{}}}},
		{"prepare", 4 << 10, message(t, &protos.Message{Content: &protos.Message_Prepare{Prepare: &protos.Prepare{}}})},
		{"commit", 4 << 10, message(t, &protos.Message{Content: &protos.Message_Commit{Commit: &protos.Commit{}}})},
		{"view_change", 4 << 10, message(t, &protos.Message{Content: &protos.Message_ViewChange{ViewChange: &protos.ViewChange{}}})},
		{"heart_beat", 4 << 10, message(t, &protos.Message{Content: &protos.Message_HeartBeat{HeartBeat: &protos.HeartBeat{}}})},
		{"pre_prepare", 1<<20 + 64<<10, message(t, &protos.Message{Content: &protos.Message_PrePrepare{PrePrepare: &protos.PrePrepare{}}})},
		{"view_data", view, message(t, &protos.Message{Content: &protos.Message_ViewData{ViewData: &protos.SignedViewData{}}})},
		{"new_view", 4 * view, message(t, &protos.Message{Content: &protos.Message_NewView{NewView: &protos.NewView{}}})},
	} {
		raw := marshal(t, c.f)
		if kind, ok := kindOf(raw); kind != c.kind || !ok {
			t.Errorf("%s: kind %q, %v", c.kind, kind, ok)
		}
		for _, over := range []int{0, 1} {
			// An unknown field fills the frame up.
			fill := c.most + over - len(raw)
			for n := fill; n > 0; n-- {
				if padded := protowire.AppendBytes(protowire.AppendTag(raw[:len(raw):len(raw)], 99, protowire.BytesType), make([]byte, n)); len(padded) == c.most+over {
					_, ruling := da3.Frame("da1", padded)
					if over == 0 {
						check(t, ruling, Take)
					} else {
						check(t, ruling, "oversized: "+c.kind)
					}
					break
				}
			}
		}
	}
}

// A frame with two bodies is none, and a message with two contents has the smallest
// bound: otherwise the larger one would hide behind the smaller one's.
func TestFrameWithTwoBodies(t *testing.T) {
	vote := message(t, &protos.Message{Content: &protos.Message_Prepare{Prepare: &protos.Prepare{}}})
	status := &peerpb.Frame{Epoch: 5, Sender: "da1", Body: &peerpb.Frame_Status{Status: &peerpb.Status{}}}
	two := append(marshal(t, status), marshal(t, vote)...)
	_, ruling := da3.Frame("da1", two)
	check(t, ruling, "malformed: ")
	contents := append(marshal(t, &protos.Message{Content: &protos.Message_Prepare{Prepare: &protos.Prepare{}}}),
		marshal(t, &protos.Message{Content: &protos.Message_NewView{NewView: &protos.NewView{}}})...)
	if kind, ok := kindOf(marshal(t, &peerpb.Frame{Body: &peerpb.Frame_Message{Message: contents}})); kind != "message" || !ok || da3.most(kind) != smallBytes {
		t.Errorf("two contents: %q, %v", kind, ok)
	}
	// What looks like a content inside another body is none: a status stays small.
	large := protowire.AppendBytes(protowire.AppendTag(nil, status.ProtoReflect().Descriptor().Fields().ByName("status").Number(), protowire.BytesType),
		marshal(t, &protos.Message{Content: &protos.Message_NewView{NewView: &protos.NewView{}}}))
	if kind, ok := kindOf(large); kind != "status" || !ok {
		t.Errorf("a status with the bytes of a new view: %q, %v", kind, ok)
	}
}

// A member that breaks rules without end is cut off for a while, and then heard
// again; one that breaks few never is.
func TestConduct(t *testing.T) {
	c, now := NewConduct(1), time.Unix(1000, 0)
	for k := range 100 {
		if c.Broke("da1", "malformed", now) {
			t.Fatalf("cut off after %d", k+1)
		}
	}
	if c.Broke("da1", "equivocation", now) {
		t.Error("cut off for what its leader did")
	}
	if !c.Broke("da1", "malformed", now) || c.Until("da1", now) != now.Add(cutOffFor) || !c.Until("da2", now).IsZero() {
		t.Errorf("not cut off: until %v", c.Until("da1", now))
	}
	for range 1000 { // no more than f at once
		if c.Broke("da2", "malformed", now) {
			t.Fatal("two of four cut off")
		}
	}
	now = now.Add(cutOffFor)
	if !c.Until("da1", now).IsZero() {
		t.Error("cut off for ever")
	}
	for range 1000 { // one a second
		now = now.Add(time.Second)
		if c.Broke("da3", "malformed", now) {
			t.Fatal("cut off for one broken rule a second")
		}
	}
}

// What time forgives it forgives once, whenever the member broke rules before and
// whatever the clock does.
func TestConductForgivesOnce(t *testing.T) {
	start := time.Unix(1000, 0)
	breaks := func(c *Conduct, times int, now time.Time) (cutOff bool) {
		for range times {
			cutOff = cutOff || c.Broke("da1", "malformed", now)
		}
		return cutOff
	}
	c := NewConduct(1)
	if breaks(c, 1, start) || breaks(c, 100, start.Add(1000*time.Second)) || !breaks(c, 1, start.Add(1000*time.Second)) {
		t.Error("an old broken rule lets a member break more")
	}
	c = NewConduct(1)
	if breaks(c, 99, start) || breaks(c, 1, start.Add(-1000*time.Second)) || !breaks(c, 1, start) {
		t.Error("a clock that goes back and forth forgives")
	}
}

// However many break rules, and the clock goes, no more than f are cut off.
func TestConductAgainstF(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.IntRange(0, 4).Draw(t, "f")
		c, now := NewConduct(f), time.Unix(1000, 0)
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(-5, 40).Draw(t, "s")) * time.Second)
			da := fmt.Sprint("da", rapid.IntRange(1, 9).Draw(t, "da"))
			for range rapid.IntRange(0, 300).Draw(t, "times") {
				c.Broke(da, "malformed", now)
			}
			n := 0
			for k := range 10 {
				if !c.Until(fmt.Sprint("da", k), now).IsZero() {
					n++
				}
			}
			if n > f {
				t.Fatalf("%d of at most %d cut off", n, f)
			}
		}
	})
}
