package peer

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/aggregator/peer/peertest"
	"fairwatt/proto/peerpb"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// One caller has so many connections and no more; one that it closes makes room.
func TestConnectionsOfOneCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, net := newAuthority(t), &peertest.Wires{}
		g := newLink(t, Config{Self: "da1", Listener: net.Listen("da1:1"), Dialer: net.Dial, TLS: ca.tls("da1"), Observers: []string{"mc", "load"}})
		start(t, g, answers(t))
		dial := func(name string) *Client {
			c, err := DialBy(net.Dial, g.Addr().String(), ca.tls(name))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
			return c
		}
		var clients []*Client
		for range maxConns {
			c := dial("mc")
			if err := c.Submit(t.Context(), []byte("good")); err != nil {
				t.Fatal(err)
			}
			clients = append(clients, c)
		}
		if err := dial("mc").Submit(t.Context(), []byte("good")); err == nil {
			t.Errorf("a connection more than %d was taken", maxConns)
		}
		if err := dial("load").Submit(t.Context(), []byte("good")); err != nil {
			t.Errorf("another caller: %v", err)
		}
		if err := clients[0].Close(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := dial("mc").Submit(t.Context(), []byte("good")); err != nil {
			t.Errorf("after one was closed: %v", err)
		}
	})
}

// On one connection so many calls run at once; those beyond wait until one has ended.
func TestCallsOfOneConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, net := newAuthority(t), &peertest.Wires{}
		g := newLink(t, Config{Self: "da1", Listener: net.Listen("da1:1"), Dialer: net.Dial, TLS: ca.tls("da1"), Observers: []string{"mc"}})
		h, end := answers(t), make(chan struct{})
		var inside, most atomic.Int64
		h.Submit = func(context.Context, string, []byte) error {
			most.Store(max(most.Load(), inside.Add(1)))
			<-end
			inside.Add(-1)
			return nil
		}
		start(t, g, h)
		c, err := DialBy(net.Dial, g.Addr().String(), ca.tls("mc"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var calls sync.WaitGroup
		for range maxStreams + 10 {
			calls.Go(func() {
				if err := c.Submit(t.Context(), []byte("good")); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if n := inside.Load(); n != maxStreams {
			t.Errorf("%d calls run at once, want %d", n, maxStreams)
		}
		close(end)
		calls.Wait()
		if n := most.Load(); n > maxStreams {
			t.Errorf("%d calls ran at once", n)
		}
	})
}

// Who connects and says nothing is cut off after so long: whoever reaches the port could
// keep it busy else, without any certificate.
func TestHandshakeHasALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, net := newAuthority(t), &peertest.Wires{}
		g := newLink(t, Config{Self: "da1", Listener: net.Listen("da1:1"), Dialer: net.Dial, TLS: ca.tls("da1")})
		start(t, g, answers(t))
		conn, err := net.Dial(t.Context(), "da1:1")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		began := time.Now()
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("it is spoken to first")
		}
		if took := time.Since(began); took != handshakeLimit {
			t.Errorf("cut off after %v, want %v", took, handshakeLimit)
		}
	})
}

// One call brings so many records and so many bytes, and no more.
func TestCallsHaveASize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, net := newAuthority(t), &peertest.Wires{}
		g := newLink(t, Config{Self: "da1", Listener: net.Listen("da1:1"), Dialer: net.Dial, TLS: ca.tls("da1"), Observers: []string{"mc"}})
		start(t, g, answers(t))
		c, err := DialBy(net.Dial, g.Addr().String(), ca.tls("mc"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for n, want := range map[int]codes.Code{maxSubmitRecords: codes.OK, maxSubmitRecords + 1: codes.InvalidArgument} {
			_, err := c.rpc.Submit(t.Context(), &peerpb.SubmitRequest{Sealed: make([][]byte, n)})
			if status.Code(err) != want {
				t.Errorf("%d records: %v, want %v", n, err, want)
			}
		}
		// A caller with a program of its own sends what it likes.
		large := &peerpb.SubmitRequest{Sealed: [][]byte{make([]byte, MaxFrameBytes)}}
		if _, err := c.rpc.Submit(t.Context(), large, grpc.MaxCallSendMsgSize(2*MaxFrameBytes)); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("a call of more than %d bytes: %v, want ResourceExhausted", MaxFrameBytes, err)
		}
	})
}

// A peer has one stream: another ends it, and the frames keep their order.
func TestOneStreamOfAPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, net := newAuthority(t), &peertest.Wires{}
		g := newLink(t, Config{
			Self: "da1", Listener: net.Listen("da1:1"), Peers: map[string]string{"da2": "da2:1"}, Dialer: net.Dial, TLS: ca.tls("da1"),
		})
		var got []uint64
		hold := make(chan struct{})
		start(t, g, Handlers{Frame: func(_ string, frame []byte) {
			if len(got) == 0 {
				<-hold // the first stream's frame is looked at while the second comes
			}
			got = append(got, binary.BigEndian.Uint64(frame))
		}})
		c, err := DialBy(net.Dial, g.Addr().String(), ca.tls("da2"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // a stream that is not ended fails the test
		defer cancel()
		open := func() interface {
			Send(*peerpb.Packet) error
			RecvMsg(any) error
		} {
			s, err := c.rpc.Stream(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Header(); err != nil {
				t.Fatal(err)
			}
			return s
		}
		first := open()
		if err := first.Send(&peerpb.Packet{Frame: number(1)}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		second := open()
		if err := second.Send(&peerpb.Packet{Frame: number(2)}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		close(hold)
		if err := first.RecvMsg(new(peerpb.StreamEnd)); status.Code(err) != codes.Aborted {
			t.Errorf("the first stream: %v, want Aborted", err)
		}
		synctest.Wait()
		if !slices.Equal(got, []uint64{1, 2}) || g.Stats()["da2"].Replaced != 1 {
			t.Errorf("frames %v, %+v", got, g.Stats()["da2"])
		}
	})
}
