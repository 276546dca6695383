package grid

import (
	"sync/atomic"

	"google.golang.org/protobuf/proto"

	"fairwatt/aggregator"
	"fairwatt/proto/peerpb"
	"fairwatt/proto/seal"
)

// A dropper is the link of a misbehaving forwarder: it drops every block that
// the data aggregator should forward. The data aggregator's own blocks still go
// out.
type dropper struct {
	aggregator.Link
	self     string
	withheld atomic.Uint64
}

// Send implements aggregator.Link.
func (d *dropper) Send(to string, frame []byte) {
	if d.forwards(frame) {
		d.withheld.Add(1)
		return
	}
	d.Link.Send(to, frame)
}

// forwards says whether a frame carries a block of another data aggregator.
func (d *dropper) forwards(frame []byte) bool {
	f := &peerpb.Frame{}
	if err := proto.Unmarshal(frame, f); err != nil || f.GetRelay() == nil {
		return false
	}
	origin, _, err := seal.Peek(f.GetRelay().GetSeal())
	return err == nil && origin != d.self
}
