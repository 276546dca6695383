package consensus

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/aggregator/consensus/guard"
	"fairwatt/proto/peerpb"

	"github.com/hyperledger-labs/SmartBFT/pkg/types"
	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
)

// A member that sends garbage without end is counted, named and cut off; the others
// go on, and hear it again after a while.
func TestGarbageIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 1000, lan)
		c.start("da1", "da2", "da3")
		liar := c.net.Join("da4")
		for range 500 {
			liar.Send("da2", []byte{0xff})
		}
		c.submit("da2", 200)
		c.allDecided("da1", "da2", "da3")
		time.Sleep(time.Second) // until all have said how far they are
		s := c.node("da2").Stats()
		bad, good := s.Peers["da4"], s.Peers["da1"]
		if s.CutOffs != 1 || bad.Refused < 100 || bad.Refused > 110 || bad.CutOff.Before(time.Now()) || s.CutFrames != 500-bad.Refused {
			t.Errorf("the one that sends garbage: %+v, %d cut off, %d frames dropped", bad, s.CutOffs, s.CutFrames)
		}
		if good.Refused != 0 || !good.CutOff.IsZero() || good.Height == 0 || time.Since(good.Voted) > 5*time.Second || time.Since(good.Heard) > time.Second {
			t.Errorf("another: %+v", good)
		}
		if time.Since(s.LastVote) > 5*time.Second {
			t.Errorf("voted last at %v", s.LastVote)
		}
		time.Sleep(time.Minute)
		if !c.node("da2").Stats().Peers["da4"].CutOff.IsZero() {
			t.Error("cut off for ever")
		}
		c.start("da4")
		c.allDecided(c.names...)
	})
}

// What the library logs is bounded, whatever a member has sent.
func TestShort(t *testing.T) {
	big := strings.Repeat("x", 1<<20)
	got := fmt.Sprintf("%d %v %s %v %v %v %v", short([]any{uint64(7), errors.New("broken"), big, &protos.Message{Content: &protos.Message_Prepare{Prepare: &protos.Prepare{Digest: big}}},
		[]byte(big), types.Proposal{Payload: []byte(big)}, time.Second})...)
	if want := "7 broken " + big[:shortText] + "... *smartbftprotos.Message of "; !strings.HasPrefix(got, want) || len(got) > 400 || !strings.HasSuffix(got, "1s") {
		t.Errorf("%.500s", got)
	}
}

// While frames of a peer wait for room in the instance's queue, who empties it can book
// a vote or a refusal of that peer: otherwise both would wait for good.
func TestFullQueueIsEmptied(t *testing.T) {
	c := newCluster(t, 4, 1000, lan)
	n, err := New(c.config("da1", c.net.Join("da1")))
	if err != nil {
		t.Fatal(err)
	}
	queue := make(chan *peerpb.Frame)
	n.inst = &instance{node: n, epoch: Epoch{Number: 1}, ctx: t.Context(), queues: map[string]chan *peerpb.Frame{"da2": queue}}
	ps, sorted, booked := n.peer("da2"), make(chan struct{}), make(chan struct{})
	go func() { n.sort(ps, &peerpb.Frame{Epoch: 1}, guard.Take); close(sorted) }()
	for ps.order.TryLock() { // until it waits for room
		ps.order.Unlock()
		runtime.Gosched()
	}
	go func() {
		n.noteVote("da2")
		n.refuse("da2", errors.New("something"))
		n.behind(n.epoch)
		n.peerStats()
		close(booked)
	}()
	select {
	case <-booked:
	case <-time.After(time.Minute):
		t.Error("a vote cannot be booked while the queue is full")
	}
	<-queue
	<-sorted
}
