package main

import (
	"encoding/binary"
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fairwatt/agent/sensor"
)

var (
	_ sensor.Clock     = (*hostBuses)(nil)
	_ sensor.EdgeLines = (*hostBuses)(nil)
)

// kernelEvent is one struct gpio_v2_line_event.
func kernelEvent(ns uint64, seq uint32) []byte {
	b := make([]byte, gpioEventSize)
	binary.NativeEndian.PutUint64(b, ns)
	binary.NativeEndian.PutUint32(b[8:], 2) // falling
	binary.NativeEndian.PutUint32(b[16:], seq+100)
	binary.NativeEndian.PutUint32(b[20:], seq)
	return b
}

// Edges come with the kernel's times and the line's numbers; a wait ends with an
// edge, with its time, and with the line; one that waits does not hold up one that
// takes.
func TestKernelEdges(t *testing.T) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	k, err := newKernelEdges(p[0], "GPIO17")
	if err != nil {
		t.Fatal(err)
	}
	write := func(b []byte) {
		t.Helper()
		if _, err := unix.Write(p[1], b); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, ok, err := k.Take(); ok || err != nil {
		t.Errorf("an empty queue gives %v, %v", ok, err)
	}
	if err := k.Await(time.Millisecond); err != nil {
		t.Errorf("a wait without an edge: %v", err)
	}
	waited := make(chan error, 1)
	go func() { waited <- k.Await(time.Minute) }()
	write(append(kernelEvent(1_000_000_007, 3), kernelEvent(1_100_000_000, 9)...))
	if err := <-waited; err != nil {
		t.Errorf("a wait with an edge: %v", err)
	}
	for _, want := range []struct {
		at  time.Duration
		seq uint32
	}{{1_000_000_007, 3}, {1_100_000_000, 9}} {
		at, seq, ok, err := k.Take()
		if at != want.at || seq != want.seq || !ok || err != nil {
			t.Errorf("edge at %d, number %d, %v, %v", at, seq, ok, err)
		}
	}
	go func() { waited <- k.Await(time.Minute) }()
	if _, _, ok, err := k.Take(); ok || err != nil { // returns though the other waits
		t.Errorf("taken twice: %v, %v", ok, err)
	}
	if err := k.Close(); err != nil {
		t.Error(err)
	}
	if err := <-waited; !errors.Is(err, os.ErrClosed) {
		t.Errorf("a wait on a closed line: %v", err)
	}
	if _, _, _, err := k.Take(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a closed line: %v", err)
	}
	_ = unix.Close(p[1])
}

// A line whose chip is pulled is an error, and no empty queue.
func TestKernelEdgesOfALostLine(t *testing.T) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	k, err := newKernelEdges(p[0], "GPIO17")
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	if err := unix.Close(p[1]); err != nil {
		t.Fatal(err)
	}
	if err := k.Await(time.Minute); err == nil {
		t.Error("a lost line can be awaited")
	}
	if _, _, ok, err := k.Take(); ok || err == nil {
		t.Errorf("a lost line gives %v, %v", ok, err)
	}
}

// The clock is the kernel's own.
func TestHostClockIsTheKernels(t *testing.T) {
	h := &hostBuses{}
	before := h.Now()
	if err := h.Sleep(t.Context(), time.Millisecond); err != nil {
		t.Fatal(err)
	}
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		t.Fatal(err)
	}
	if after := h.Now(); after-before < time.Millisecond || after < time.Duration(ts.Nano()) || after > time.Duration(ts.Nano())+time.Minute {
		t.Errorf("%v, then %v; the kernel has %v", before, after, time.Duration(ts.Nano()))
	}
}
