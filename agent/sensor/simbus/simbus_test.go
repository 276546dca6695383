package simbus_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"google.golang.org/protobuf/proto"

	"fairwatt/agent/sensor"
	"fairwatt/agent/sensor/simbus"
	pb "fairwatt/proto/fairwattpb"
)

var (
	_ sensor.Buses    = (*simbus.Client)(nil)
	_ sensor.Clock    = (*simbus.Client)(nil)
	_ sensor.Counters = (*simbus.Client)(nil)
	_ sensor.Serials  = (*simbus.Client)(nil)
)

// A frame that was written is read back, one after another, and the end of the
// stream between two frames is io.EOF.
func TestFrameRoundTrip(t *testing.T) {
	var b bytes.Buffer
	want := []*pb.BusRequest{
		{SleepUs: 5}, {}, {Op: &pb.BusRequest_I2C{I2C: &pb.I2CTransfer{Address: 0x76, W: []byte{0xD0}, Read: 1}}},
	}
	for _, m := range want {
		if err := simbus.WriteFrame(&b, m); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range want {
		var got pb.BusRequest
		if err := simbus.ReadFrame(&b, &got); err != nil || !proto.Equal(&got, m) {
			t.Errorf("read %v, %v; want %v", &got, err, m)
		}
	}
	if err := simbus.ReadFrame(&b, &pb.BusRequest{}); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}

// The largest frame passes; one byte more does not, on either end.
func TestFrameBound(t *testing.T) {
	reply := &pb.BusReply{R: make([]byte, simbus.MaxFrameBytes)}
	reply.R = reply.R[:2*simbus.MaxFrameBytes-proto.Size(reply)]
	if n := proto.Size(reply); n != simbus.MaxFrameBytes {
		t.Fatalf("a reply of %d bytes", n)
	}
	var b bytes.Buffer
	if err := simbus.WriteFrame(&b, reply); err != nil {
		t.Fatal(err)
	}
	if err := simbus.ReadFrame(&b, &pb.BusReply{}); err != nil {
		t.Error(err)
	}
	reply.R = append(reply.R, 0)
	if err := simbus.WriteFrame(&b, reply); !errors.Is(err, simbus.ErrFrameSize) {
		t.Errorf("one byte over: %v", err)
	}
	if err := simbus.ReadFrame(bytes.NewReader([]byte{0, 1, 0, 1}), &pb.BusReply{}); !errors.Is(err, simbus.ErrFrameSize) {
		t.Errorf("a length one over: %v", err)
	}
}

func TestFrameCutShort(t *testing.T) {
	for name, b := range map[string][]byte{"in the length": {0, 0}, "in the message": {0, 0, 0, 9, 1}} {
		if err := simbus.ReadFrame(bytes.NewReader(b), &pb.BusRequest{}); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut %s: %v", name, err)
		}
	}
}
