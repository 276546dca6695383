package board

import (
	"bytes"
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	"fairwatt/agent/sensor/simbus"
	"fairwatt/model"
	pb "fairwatt/proto/fairwattpb"
)

// FuzzAnswer feeds a server's side with arbitrary frames: whatever can be read
// is answered within the limits.
func FuzzAnswer(f *testing.F) {
	for _, req := range []*pb.BusRequest{
		{SleepUs: 5},
		{Op: &pb.BusRequest_I2C{I2C: &pb.I2CTransfer{Address: 0x76, W: []byte{0xD0}, Read: 1}}},
		{Op: &pb.BusRequest_PinCount{PinCount: &pb.PinCount{Pin: "ANEMO"}}},
		{Op: &pb.BusRequest_PinBins{PinBins: &pb.PinBins{Pin: "ANEMO", SinceUs: -1}}},
		{Op: &pb.BusRequest_PinEdge{PinEdge: &pb.PinEdge{Pin: "RDY", TimeoutUs: 1 << 60}}},
		{Op: &pb.BusRequest_Describe{Describe: &pb.Describe{}}},
		{Op: &pb.BusRequest_PinRead{PinRead: &pb.PinRead{Pin: "IRQ"}}},
		{Op: &pb.BusRequest_SerialWrite{SerialWrite: &pb.SerialWrite{Port: "RS485", Data: []byte{1, 4, 0, 0, 0, 10, 0x70, 0x0D}}}},
		{Op: &pb.BusRequest_SerialRead{SerialRead: &pb.SerialRead{Port: "RS485", Max: 1 << 30, TimeoutUs: 1 << 60}}},
	} {
		var b bytes.Buffer
		if err := simbus.WriteFrame(&b, req); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Add([]byte{0xFF, 0xFF, 0xFF, 0xFF})
	f.Add([]byte{0, 0, 0, 9, 1})
	layout := Standard()
	layout.AS3935 = []AS3935{{Address: 3, IRQPin: "IRQ"}}
	layout.PZEM = []PZEM{{Port: "RS485", Address: 1}}
	b, err := New(layout)
	if err != nil {
		f.Fatal(err)
	}
	var s model.Sample
	s.Set(model.VoltageV, 230)
	s.Set(model.CurrentA, 1)
	b.Feed(&s)
	f.Fuzz(func(t *testing.T, data []byte) {
		var req pb.BusRequest
		if simbus.ReadFrame(bytes.NewReader(data), &req) != nil {
			return
		}
		var out bytes.Buffer
		if err := simbus.WriteFrame(&out, b.answer(nil, &req)); err != nil {
			t.Fatal(err)
		}
		var rep pb.BusReply
		if err := simbus.ReadFrame(&out, &rep); err != nil {
			t.Fatal(err)
		}
	})
}

func TestFrameLimits(t *testing.T) {
	var m pb.BusRequest
	if err := simbus.ReadFrame(bytes.NewReader([]byte{0, 2, 0, 0}), &m); !errors.Is(err, simbus.ErrFrameSize) {
		t.Errorf("frame of 128 KiB: %v", err)
	}
	if err := simbus.WriteFrame(&bytes.Buffer{}, &pb.BusReply{R: make([]byte, simbus.MaxFrameBytes)}); !errors.Is(err, simbus.ErrFrameSize) {
		t.Errorf("reply over the limit: %v", err)
	}
	// An hour of bins of any wind fits.
	bins := make([]uint32, maxBins)
	for i := range bins {
		bins[i] = 1 << 20
	}
	if n := proto.Size(&pb.BusReply{Bins: bins}); n > simbus.MaxFrameBytes {
		t.Errorf("an hour of bins has %d bytes", n)
	}
}

func TestRequestLimits(t *testing.T) {
	b, err := New(Standard())
	if err != nil {
		t.Fatal(err)
	}
	for _, req := range []*pb.BusRequest{
		{SleepUs: simbus.MaxSleepUs + 1},
		{Op: &pb.BusRequest_I2C{I2C: &pb.I2CTransfer{Address: 0x76, Read: simbus.MaxTransferBytes + 1}}},
		{Op: &pb.BusRequest_I2C{I2C: &pb.I2CTransfer{Address: 0x400}}},
	} {
		if rep := b.answer(nil, req); rep.Error.GetKind() != pb.BusError_KIND_BAD_REQUEST {
			t.Errorf("%v: %v", req, rep.Error)
		}
	}
	if b.Now() != 0 {
		t.Errorf("a refused sleep moved the clock to %v", b.Now())
	}
}
