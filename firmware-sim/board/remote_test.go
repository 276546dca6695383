package board_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"fairwatt/agent/sensor"
	"fairwatt/agent/sensor/simbus"
	"fairwatt/firmware-sim/board"
	"fairwatt/model"
)

// serve runs a server for the test and returns a client.
func serve(t *testing.T, b *board.Board) *simbus.Client {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- board.Serve(ctx, l, b) }()
	c, err := simbus.Dial(t.Context(), "sim://"+l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Close()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return c
}

// The socket changes nothing: same numbers, up to the microseconds of its clock.
func TestRemoteReadsAlike(t *testing.T) {
	defer goleak.VerifyNone(t)
	t.Run("", func(t *testing.T) {
		var got [2]model.Sample
		for i, remote := range []bool{false, true} {
			b := newBoard(t, board.Standard())
			b.Feed(world(calm()))
			b.Advance(time.Minute)
			var buses sensor.Buses = b
			if remote {
				c := serve(t, b)
				parts, err := c.Describe()
				if err != nil || len(parts) != 6 || parts[0].Name() != "bme280@0x76" || len(parts[0].Channels) != 3 {
					t.Errorf("parts %v, %v", parts, err)
				}
				buses = c
			}
			for _, d := range newSensors(t, buses) {
				if err := d.Read(t.Context(), &got[i]); err != nil {
					t.Fatal(err)
				}
			}
		}
		for ch := range model.NumChannels {
			// The socket counts microseconds: the sampling instants differ by
			// less than that.
			if d := math.Abs(got[0].Values[ch] - got[1].Values[ch]); d > 1e-3*(1+math.Abs(got[0].Values[ch])) {
				t.Errorf("%s: %g here, %g there", ch, got[0].Values[ch], got[1].Values[ch])
			}
		}
	})
}

func TestClientsAtOnce(t *testing.T) {
	b := newBoard(t, board.Standard())
	b.Feed(world(calm()))
	c := serve(t, b)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			bus, err := c.I2C("")
			if err != nil {
				t.Error(err)
				return
			}
			for range 50 {
				var id [1]byte
				if err := bus.Tx(0x76, []byte{0xD0}, id[:]); err != nil || id[0] != 0x60 {
					t.Errorf("id %x %v", id, err)
				}
			}
		})
	}
	wg.Wait()
	var nack *simbus.NotAcknowledgedError
	bus, _ := c.I2C("")
	if err := bus.Tx(0x23, []byte{0}, nil); !errors.As(err, &nack) || nack.Address != 0x23 || !errors.Is(err, syscall.ENXIO) {
		t.Errorf("missing chip: %v", err)
	}
	if _, err := c.Pin("GPIO99"); !errors.Is(err, simbus.ErrNoSuchPin) {
		t.Errorf("missing pin: %v", err)
	}
	if err := bus.Tx(0x76, bytes.Repeat([]byte{0xF5}, 5000), nil); err == nil {
		t.Error("a transfer of 5000 bytes went through")
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := bus.Tx(0x76, []byte{0}, nil); !errors.Is(err, simbus.ErrClosed) {
		t.Errorf("after close: %v", err)
	}
}
