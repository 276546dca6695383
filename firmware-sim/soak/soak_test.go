package soak

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"fairwatt/proto/peerpb"
)

// memberArg makes the program of the tests one data aggregator.
const memberArg = "soak-member-of-the-tests"

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == memberArg {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		if err := Member(ctx, os.Args[2], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// soaked runs a soak whose members are this test's program, and wants its promises kept.
func soaked(t *testing.T, cfg Config) *Report {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	r, err := Run(t.Context(), cfg, Options{Member: []string{self, memberArg}, Out: &out})
	if err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	var text bytes.Buffer
	r.Print(&text)
	t.Logf("%s%s", &out, &text)
	if len(r.Broken) > 0 {
		t.Errorf("promises broken: %q", r.Broken)
	}
	return r
}

// A short soak: processes, deeds of many kinds, and nothing lost. How long the chain
// may stand still is generous: other tests use the same cores.
func TestShortSoak(t *testing.T) {
	if os.Getenv("FAIRWATT_LONG") == "" {
		t.Skip("takes half a minute: set FAIRWATT_LONG=1")
	}
	cfg := DefaultConfig()
	cfg.For, cfg.Dir, cfg.Standstill = 25*time.Second, t.TempDir(), time.Minute
	r := soaked(t, cfg)
	if r.Sent < 500 || r.Final != r.Sent || len(r.Deeds) < 3 || r.Height < 20 {
		t.Errorf("%d of %d records final in %d blocks, %d deeds", r.Final, r.Sent, r.Height, len(r.Deeds))
	}
}

// A wrong setting is named.
func TestConfig(t *testing.T) {
	for want, spoil := range map[string]func(*Config){
		"for: 1s": func(c *Config) { c.For = time.Second }, "das: 3": func(c *Config) { c.DAs = 3 },
		"devices: 0": func(c *Config) { c.Devices = 0 }, "rate: 0": func(c *Config) { c.Rate = 0 },
		"standstill: 0s": func(c *Config) { c.Standstill = 0 }, "settle: 0s": func(c *Config) { c.Settle = 0 }, "dir: is required": func(c *Config) { c.Dir = "" },
	} {
		c := DefaultConfig()
		c.Dir = "x"
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		spoil(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// The longest standstill is that between two final records, less what is excused, and
// the one that the end of the load cuts off.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatch(time.Now())
		w.begin(time.Now())
		after := func(d time.Duration) time.Time { time.Sleep(d); return time.Now() }
		now := after(2 * time.Second)
		w.final(now.Add(-300*time.Millisecond), now)
		for range 30 {
			w.excuse(after(100 * time.Millisecond))
		}
		now = after(time.Second)
		w.final(now.Add(-4*time.Second), now)
		r := &Report{}
		w.sum(r, 10*time.Second)
		if r.LongestStallS != 4 || r.StallEndsS != 10 || r.Final != 2 || r.Availability != 0.2 || r.MaxMs != 4000 || r.RecordsPerS != 0.2 {
			t.Errorf("%+v", r)
		}
		w.sum(r, 7*time.Second)
		if r.LongestStallS != 4 { // what was found stays found
			t.Errorf("%+v", r)
		}
	})
}

// echo is a server that sends back what it gets.
func echo(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			work.Go(func() {
				defer c.Close()
				_, _ = io.Copy(c, c) // until the other side ends
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); work.Wait() })
	return l
}

// A cut closes connections and refuses new ones; a hold keeps them and lets nothing
// pass; both end.
func TestForwarder(t *testing.T) {
	f, err := newForwarder("127.0.0.1", echo(t).Addr().String(), 0)
	if err != nil {
		t.Fatal(err)
	}
	ran := make(chan error, 1)
	go func() { ran <- f.run(t.Context()) }()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", f.address())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	says := func(c net.Conn, word string, within time.Duration) error {
		if _, err := c.Write([]byte(word)); err != nil {
			return err
		}
		if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(word))
		if _, err := io.ReadFull(c, got); err != nil {
			return err
		}
		if string(got) != word {
			t.Errorf("got %q, want %q", got, word)
		}
		return nil
	}
	const patience = time.Minute
	c := dial()
	if err := says(c, "one", patience); err != nil {
		t.Fatal(err)
	}
	f.stall()
	if err := says(c, "two", 50*time.Millisecond); err == nil {
		t.Error("what is held came through")
	}
	f.heal()
	got := make([]byte, 3)
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "two" {
		t.Errorf("after the hold %q came: %v", got, err)
	}
	f.sever()
	if err := says(c, "six", patience); err == nil {
		t.Error("a connection that was cut goes on")
	}
	if err := says(dial(), "ten", patience); err == nil {
		t.Error("a new connection passes the cut")
	}
	f.heal()
	if err := says(dial(), "end", patience); err != nil {
		t.Errorf("after the cut: %v", err)
	}
	if err := f.close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ran; err != nil {
		t.Error(err)
	}
}

// Each lie changes what goes out in its way, and none lets frames pass as they are.
func TestLiar(t *testing.T) {
	frame := func(f *peerpb.Frame) []byte {
		raw, err := proto.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	status := frame(&peerpb.Frame{Sender: "da-1", Body: &peerpb.Frame_Status{Status: &peerpb.Status{}}})
	vote := frame(&peerpb.Frame{Sender: "da-1", Body: &peerpb.Frame_Message{Message: []byte("a vote")}})
	block := frame(&peerpb.Frame{Sender: "da-1", Body: &peerpb.Frame_Relay{Relay: &peerpb.Relay{Message: []byte("a block")}}})
	l := newLiar(nil, "da-1", 1)
	for lie, want := range map[string][4]int{ // frames for: a status, a vote to da-2, a vote to da-3, a block of another
		none: {1, 1, 1, 1}, "drop": {1, 1, 1, 0}, "silent": {1, 0, 0, 0}, "half": {1, 0, 1, 1}, "garble": {1, 1, 1, 1},
		"replay": {2, 2, 2, 2}, "flood": {20, 20, 20, 20}, "partial": {1, 1, 1, 1},
	} {
		if err := l.become(lie); err != nil {
			t.Fatal(err)
		}
		got := [4]int{len(l.instead("da-3", status)), len(l.instead("da-2", vote)), len(l.instead("da-3", vote)), len(l.instead("da-3", block))}
		if got != want {
			t.Errorf("%s: %v, want %v", lie, got, want)
		}
	}
	bent := 0
	if err := l.become("garble"); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if !bytes.Equal(l.instead("da-3", vote)[0], vote) {
			bent++
		}
	}
	if bent < 5 || bent > 60 {
		t.Errorf("%d of 100 frames bent", bent)
	}
	if err := l.become("sulk"); err == nil || !strings.Contains(err.Error(), `"sulk", want none or drop`) {
		t.Error(err)
	}
}
