package board

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"time"

	"periph.io/x/conn/v3/gpio"

	"fairwatt/agent/sensor/simbus"
)

const slowPullIn, slowDropOut = 20 * time.Millisecond, 10 * time.Millisecond

func relayBoard(t *testing.T, r Relay) *Board {
	t.Helper()
	b, err := New(Config{Relays: []Relay{r}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func drive(t *testing.T, b *Board, pin string, l gpio.Level) {
	t.Helper()
	out, err := b.PinOut(pin)
	if err == nil {
		err = out.Out(l)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func contact(t *testing.T, b *Board, pin string) bool {
	t.Helper()
	closed, err := b.Relay(pin)
	if err != nil {
		t.Fatal(err)
	}
	return closed
}

// moves are the contact's moves so far, as closed or open.
func moves(t *testing.T, b *Board, pin string) (closed []bool) {
	t.Helper()
	log, err := b.RelayLog(pin)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range log {
		if e.Closed == (i%2 == 1) || e.Wall.IsZero() {
			t.Errorf("event %d: %+v", i, e)
		}
		closed = append(closed, e.Closed)
	}
	return closed
}

// The contact follows the coil after its time, and its log has when.
func TestRelayFollowsItsCoil(t *testing.T) {
	b := relayBoard(t, Relay{Pin: "K1", Feedback: "K1-NO", PullIn: slowPullIn, DropOut: slowDropOut})
	feedback, err := b.Pin("K1-NO")
	if err != nil {
		t.Fatal(err)
	}
	check := func(want bool) {
		t.Helper()
		if got := contact(t, b, "K1"); got != want || bool(feedback.Read()) != want {
			t.Errorf("at %v: closed %v, feedback %v, want %v", b.Now(), got, feedback.Read(), want)
		}
	}
	check(false)
	drive(t, b, "K1", gpio.High)
	b.Advance(slowPullIn - 1)
	check(false)
	b.Advance(1)
	check(true)
	drive(t, b, "K1", gpio.High) // told again: nothing moves
	drive(t, b, "K1", gpio.Low)
	b.Advance(slowDropOut - 1)
	check(true)
	b.Advance(1)
	check(false)
	drive(t, b, "K1", gpio.High) // a coil that is released before the contact moves
	drive(t, b, "K1", gpio.Low)
	b.Advance(time.Second)
	check(false)
	log, err := b.RelayLog("K1")
	if err != nil || len(log) != 2 || log[0].At != slowPullIn || !log[0].Energised || log[1].At != slowPullIn+slowDropOut || log[1].Energised {
		t.Errorf("log %+v, %v", log, err)
	}
}

func TestRelayPolarity(t *testing.T) {
	b := relayBoard(t, Relay{Pin: "K1", ActiveLow: true, Feedback: "K1-NC", Mirror: true})
	mirror, err := b.Pin("K1-NC")
	if err != nil {
		t.Fatal(err)
	}
	if contact(t, b, "K1") || mirror.Read() != gpio.High {
		t.Error("a floating pin energises the coil")
	}
	drive(t, b, "K1", gpio.Low)
	if !contact(t, b, "K1") || mirror.Read() != gpio.Low {
		t.Error("a low pin does not energise a coil that is active low")
	}
	drive(t, b, "K1", gpio.High)
	if contact(t, b, "K1") {
		t.Error("a high pin energises it")
	}
	if err := b.Inject(Fault{Part: "K1", Kind: FeedbackLost}); err != nil {
		t.Fatal(err)
	}
	if mirror.Read() != gpio.Low {
		t.Error("a cut wire of a mirror contact reads as open")
	}
}

func TestRelayFaults(t *testing.T) {
	b := relayBoard(t, Relay{Pin: "K1", Feedback: "FB", PullIn: slowPullIn})
	feedback, err := b.Pin("FB")
	if err != nil {
		t.Fatal(err)
	}
	set := func(on bool, f Fault) {
		t.Helper()
		change := b.Inject
		if !on {
			change = b.Remove
		}
		if err := change(f); err != nil {
			t.Fatal(err)
		}
	}
	set(true, Fault{Part: "K1", Kind: NoPullIn})
	drive(t, b, "K1", gpio.High)
	b.Advance(time.Second)
	if contact(t, b, "K1") || bool(feedback.Read()) {
		t.Error("a coil that does not pull in closed the contact")
	}
	set(false, Fault{Part: "K1", Kind: NoPullIn})
	b.Advance(time.Second)
	if !contact(t, b, "K1") {
		t.Error("mended, and the contact stays open")
	}
	set(true, Fault{Part: "K1", Kind: Welded})
	drive(t, b, "K1", gpio.Low)
	b.Advance(time.Hour)
	if !contact(t, b, "K1") || !bool(feedback.Read()) {
		t.Error("a welded contact opened")
	}
	set(true, Fault{Part: "K1", Kind: FeedbackLost})
	if bool(feedback.Read()) {
		t.Error("a cut wire reads high")
	}
	set(false, Fault{Part: "K1", Kind: Welded})
	b.Advance(time.Second)
	if contact(t, b, "K1") {
		t.Error("pried open, and the contact stays closed")
	}
	before := len(moves(t, b, "K1"))
	set(true, Fault{Part: "K1", Kind: Bounces, Delay: 10 * time.Millisecond})
	drive(t, b, "K1", gpio.High)
	b.Advance(time.Second)
	if got := moves(t, b, "K1")[before:]; !slices.Equal(got, []bool{true, false, true, false, true}) {
		t.Errorf("a bouncing contact went %v", got)
	}
	for _, f := range []Fault{{Part: "K1", Kind: NoAnswer}, {Part: "K1", Kind: "x"}, {Part: "FB", Kind: Welded}} {
		if err := b.Inject(f); err == nil {
			t.Errorf("%+v is accepted", f)
		}
	}
}

func TestRelayPlaces(t *testing.T) {
	for _, c := range []Config{
		{Relays: []Relay{{}}},
		{Relays: []Relay{{Pin: "A", Feedback: "A"}}},
		{Relays: []Relay{{Pin: "A"}, {Pin: "A"}}},
		{Relays: []Relay{{Pin: "A", Feedback: "F"}, {Pin: "B", Feedback: "F"}}},
		{Relays: []Relay{{Pin: "A"}, {Pin: "B", Feedback: "A"}}},
		{Relays: []Relay{{Pin: "A", PullIn: -1}}},
		{Relays: []Relay{{Pin: "A", DropOut: -1}}},
		{Relays: []Relay{{Pin: "M"}}, Meters: []Meter{{Pin: "M", ImpPerKWh: 1}}},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%+v is accepted", c.Relays)
		}
	}
	b := relayBoard(t, Relay{Pin: "A", Feedback: "F"})
	if err := b.Inject(Fault{Part: "bme280@0x76", Kind: Welded}); err == nil {
		t.Error("a chip welds")
	}
	for _, pin := range []string{"F", "X"} {
		_, err := b.PinOut(pin)
		_, err2 := b.Relay(pin)
		_, err3 := b.RelayLog(pin)
		for _, err := range []error{err, err2, err3, b.setPin(nil, pin, gpio.High)} {
			if !errors.Is(err, simbus.ErrNoSuchPin) {
				t.Errorf("%s: %v", pin, err)
			}
		}
	}
	if _, err := b.Pin("A"); !errors.Is(err, simbus.ErrNoSuchPin) {
		t.Errorf("the coil is read: %v", err)
	}
}

func TestRelayLogIsBounded(t *testing.T) {
	b := relayBoard(t, Relay{Pin: "A"})
	for i := range maxRelayEvents + 3 {
		drive(t, b, "A", gpio.Level(i%2 == 0))
	}
	log, err := b.RelayLog("A")
	if err != nil || len(log) != maxRelayEvents || !log[len(log)-1].Closed {
		t.Errorf("%d events, %v", len(log), err)
	}
}

// The pins of one process float when it ends; those of others do not.
func TestReleasePins(t *testing.T) {
	b, err := New(Config{Relays: []Relay{{Pin: "A"}, {Pin: "B"}}})
	if err != nil {
		t.Fatal(err)
	}
	drive(t, b, "A", gpio.High)
	if err := b.setPin("another", "B", gpio.High); err != nil {
		t.Fatal(err)
	}
	b.ReleasePins()
	if contact(t, b, "A") || !contact(t, b, "B") {
		t.Errorf("A %v, B %v", contact(t, b, "A"), contact(t, b, "B"))
	}
}

// A relay drops out when the connection ends that drove it, and at the end of
// no other.
func TestRelayDropsOutWithItsConnection(t *testing.T) {
	b := relayBoard(t, Relay{Pin: "K1", Feedback: "FB"})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, l, b) }()
	dial := func() *simbus.Client {
		c, err := simbus.Dial(ctx, l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	driver, other := dial(), dial()
	out, err := driver.PinOut("K1")
	if err == nil {
		err = out.Out(gpio.High)
	}
	if err != nil {
		t.Fatal(err)
	}
	feedback, err := other.Pin("FB")
	if err != nil {
		t.Fatal(err)
	}
	if !contact(t, b, "K1") || feedback.Read() != gpio.High {
		t.Fatal("driven over the socket, and it stays open")
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	third := dial() // served after the other's end has been seen, or next to it
	if _, err := third.Describe(); err != nil || !contact(t, b, "K1") {
		t.Errorf("the end of another connection opened it (%v)", err)
	}
	if _, err := third.PinOut(string(make([]byte, simbus.MaxNameBytes+1))); !errors.Is(err, simbus.ErrNoSuchPin) {
		t.Errorf("a long name: %v", err)
	}
	if missing, err := third.PinOut("K9"); err != nil || !errors.Is(missing.Out(gpio.High), simbus.ErrNoSuchPin) {
		t.Errorf("a pin that is not there: %v", err)
	}
	if err := driver.Close(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); contact(t, b, "K1"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("its connection has ended, and it stays closed")
		}
	}
	if reader, ok := feedback.(interface{ ReadLevel() (gpio.Level, error) }); !ok {
		t.Error("a pin without errors")
	} else if _, err := reader.ReadLevel(); !errors.Is(err, simbus.ErrClosed) {
		t.Errorf("read through a closed client: %v", err)
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
