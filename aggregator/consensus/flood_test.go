package consensus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/aggregator/peer"
	"fairwatt/proto/peerpb"

	"google.golang.org/protobuf/proto"
)

// A slow cluster: some hundred records a second, so that a flood is one.
func newSlowCluster(t *testing.T) *cluster {
	c := newCluster(t, 4, 100_000, peer.MemoryConfig{Seed: 1, MinDelay: 20 * time.Millisecond, MaxDelay: 30 * time.Millisecond})
	c.tweak = func(cfg *Config) {
		cfg.BatchRecords, cfg.SenderRecords, cfg.SenderBytes = 50, 0, 0
		cfg.StallTimeout = 300 * time.Millisecond
	}
	return c
}

// fairly submits three honest senders' records, ten a second each, for a while, and
// returns how many were final within two seconds of their coming, and of how many.
func (c *cluster) fairly(phase string, d time.Duration, names ...string) (inTime, all int) {
	type sent struct {
		id string
		at time.Time
		da string
	}
	var waiting []sent
	end := time.Now().Add(d)
	for k := 0; time.Now().Before(end) || len(waiting) > 0; k++ {
		now := time.Now()
		if now.Before(end) {
			for _, da := range names {
				sealed := fmt.Appendf(nil, "record %d of %s by honest-%s ", k, phase, da)
				all++
				if err := c.node(da).Submit(context.Background(), sealed); err == nil {
					waiting = append(waiting, sent{recordID(sealed), now, da})
				} else if !errors.Is(err, ErrBusy) {
					c.t.Fatal(err)
				}
			}
		}
		left := waiting[:0]
		for _, s := range waiting {
			switch final := c.apps[s.da].has(s.id); {
			case final:
				inTime++
			case now.Sub(s.at) < 2*time.Second:
				left = append(left, s)
			}
		}
		waiting = left
		time.Sleep(100 * time.Millisecond)
	}
	c.t.Logf("%s: %d of %d records in time", phase, inTime, all)
	return inTime, all
}

// A device that floods all data aggregators takes its share of the blocks and no
// more: the others' records come through as before, during the flood and after.
func TestFloodOfOneSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newSlowCluster(t)
		c.startAll()
		if in, all := c.fairly("before", 5*time.Second, "da2", "da3", "da4"); in*100 < all*99 {
			t.Fatalf("without a flood %d of %d records in time", in, all)
		}
		ctx, stop := context.WithCancel(context.Background())
		var flood sync.WaitGroup
		flood.Go(func() {
			for k := 0; ctx.Err() == nil; k++ {
				for b := range 100 {
					sealed := append(fmt.Appendf(nil, "record %d-%d by flood ", k, b), make([]byte, 2000)...)
					for _, da := range c.names {
						if err := c.node(da).Submit(ctx, sealed); err != nil && !errors.Is(err, ErrBusy) && ctx.Err() == nil {
							t.Error(err)
						}
					}
				}
				time.Sleep(100 * time.Millisecond)
			}
		})
		if in, all := c.fairly("flood", 10*time.Second, "da2", "da3", "da4"); in*100 < all*90 {
			t.Errorf("in the flood %d of %d records in time, want nine of ten", in, all)
		}
		stop()
		flood.Wait()
		if in, all := c.fairly("after", 5*time.Second, "da2", "da3", "da4"); in*100 < all*99 {
			t.Errorf("after the flood %d of %d records in time", in, all)
		}
		for _, da := range c.names {
			if s := c.node(da).Stats(); s.ViewChanges > 0 || s.Complaints > 0 {
				t.Errorf("%s: an honest leader was given up: %+v", da, s)
			}
		}
		c.sameChain(c.names...)
	})
}

// A member that hands over records without end fills its part of the pool; the
// records of others come through.
func TestFloodOfOnePeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newSlowCluster(t)
		c.start("da1", "da2", "da3")
		liar := c.net.Join("da4")
		ctx, stop := context.WithCancel(context.Background())
		var flood sync.WaitGroup
		flood.Go(func() {
			for k := 0; ctx.Err() == nil; k++ {
				records := &peerpb.Records{}
				for b := range chunkRecords {
					records.Sealed = append(records.Sealed, append(fmt.Appendf(nil, "record %d-%d by flood-%d ", k, b, b%8), make([]byte, 200)...))
				}
				raw, err := proto.Marshal(&peerpb.Frame{Epoch: 1, Sender: "da4", Body: &peerpb.Frame_Records{Records: records}})
				if err != nil {
					t.Error(err)
					return
				}
				for _, da := range []string{"da1", "da2", "da3"} {
					liar.Send(da, raw)
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
		time.Sleep(5 * time.Second) // until the pools are as full as they get
		if in, all := c.fairly("flood", 10*time.Second, "da1", "da2", "da3"); in*100 < all*90 {
			t.Errorf("in the flood %d of %d records in time, want nine of ten", in, all)
		}
		for _, da := range []string{"da1", "da2", "da3"} {
			if n, _ := c.node(da).pool.Size(); n > 5000 {
				t.Errorf("%s: %d records wait", da, n)
			}
		}
		stop()
		flood.Wait()
	})
}

// Whatever of a frame can be large counts: a peer may have a thousand small ones waiting,
// and four large ones.
func TestLargeFrames(t *testing.T) {
	b := make([]byte, largeBytes+1)
	for name, of := range map[string]func(b []byte) *peerpb.Frame{
		"message": func(b []byte) *peerpb.Frame { return &peerpb.Frame{Body: &peerpb.Frame_Message{Message: b}} },
		"relay": func(b []byte) *peerpb.Frame {
			return &peerpb.Frame{Body: &peerpb.Frame_Relay{Relay: &peerpb.Relay{Message: b}}}
		},
		"new view": func(b []byte) *peerpb.Frame { return &peerpb.Frame{Body: &peerpb.Frame_NewView{NewView: b}} },
	} {
		if !isLarge(of(b)) || isLarge(of(b[:largeBytes])) {
			t.Errorf("%s: large at %d bytes %v, at %d %v", name, len(b), isLarge(of(b)), largeBytes, isLarge(of(b[:largeBytes])))
		}
	}
}

// What is kept of messages to be processed again has a bound, whoever sends them; so has what of
// one member's large frames waits, while its small ones still have room.
func TestWhatWaitsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, i := newIdle(t)
		for sender := range uint64(keptMessages + 100) {
			i.keep(sender+10, prepare(0, 2, otherDigest))
		}
		i.keepMu.Lock()
		kept := len(i.kept)
		i.keepMu.Unlock()
		if kept != keptMessages {
			t.Errorf("%d messages are kept, want %d", kept, keptMessages)
		}
		waits := &instance{
			ctx: t.Context(), queues: map[string]chan *peerpb.Frame{"da2": make(chan *peerpb.Frame, queuedFrames)},
			large: map[string]chan struct{}{"da2": make(chan struct{}, queuedLarge)},
		}
		var came atomic.Int64
		go func() {
			for range queuedLarge + 1 {
				waits.enqueue("da2", &peerpb.Frame{Body: &peerpb.Frame_Message{Message: make([]byte, largeBytes+1)}})
				came.Add(1)
			}
		}()
		synctest.Wait()
		if n := came.Load(); n != queuedLarge {
			t.Fatalf("%d large frames wait, want %d", n, queuedLarge)
		}
		waits.enqueue("da2", &peerpb.Frame{Body: &peerpb.Frame_Message{Message: make([]byte, largeBytes)}})
		<-waits.large["da2"] // one was handled
		synctest.Wait()
		if n := came.Load(); n != queuedLarge+1 {
			t.Errorf("%d large frames came once there was room", n)
		}
	})
}
