package soak

import (
	"bytes"
	"net"
	"os"
	"testing"
	"time"
)

// Data aggregators as processes behind uplinks of 10 Mbit/s and lines of 5 ms, some of
// which go down: nothing is lost.
func TestNetwork(t *testing.T) {
	if os.Getenv("FAIRWATT_LONG") == "" {
		t.Skip("takes half a minute: set FAIRWATT_LONG=1")
	}
	n := &Network{UplinkMbit: 10, Delay: 5 * time.Millisecond}
	if err := n.Permitted(); err != nil {
		t.Skipf("no network namespaces here: %v", err)
	}
	cfg := DefaultConfig()
	cfg.DAs, cfg.For, cfg.Dir, cfg.Standstill, cfg.Network = 4, 25*time.Second, t.TempDir(), time.Minute, n
	soaked(t, cfg)
}

// What a forwarder with a delay carries comes whole, in order, and late by the delay.
func TestForwarderDelays(t *testing.T) {
	const delay = 30 * time.Millisecond
	f, err := newForwarder("127.0.0.1", echo(t).Addr().String(), delay)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- f.run(t.Context()) }()
	c, err := net.Dial("tcp", f.address())
	if err != nil {
		t.Fatal(err)
	}
	sent := bytes.Repeat([]byte("0123456789abcdef"), 4096)
	began := time.Now()
	go func() { _, _ = c.Write(sent) }() // an error shows in what comes back
	got := make([]byte, len(sent))
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(got); {
		k, err := c.Read(got[n:])
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 && time.Since(began) < 2*delay {
			t.Errorf("the first byte is back after %v, there and back takes %v", time.Since(began), 2*delay)
		}
		n += k
	}
	if !bytes.Equal(got, sent) {
		t.Error("other bytes came back")
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := f.close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
