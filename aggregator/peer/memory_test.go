package peer

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestMemoryDelaysInOrderAndCuts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory(MemoryConfig{Seed: 7, MinDelay: time.Millisecond, MaxDelay: 20 * time.Millisecond})
		a, b := m.Join("da1"), m.Join("da2")
		var got []uint64
		var last time.Time
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		take := func(_ string, frame []byte) { got = append(got, uint64(frame[7])); last = time.Now() }
		go func() { _ = b.Run(ctx, Handlers{Frame: take}) }()
		synctest.Wait()
		begin := time.Now()
		for n := range uint64(50) {
			a.Send("da2", number(n))
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if len(got) != 50 {
			t.Fatalf("%d frames, want 50", len(got))
		}
		for k, n := range got {
			if n != uint64(k) {
				t.Fatalf("frame %d came as number %d", n, k)
			}
		}
		if d := last.Sub(begin); d < time.Millisecond || d > 21*time.Millisecond {
			t.Errorf("last frame after %v", d)
		}
		m.Partition([]string{"da1"}, []string{"da2"})
		a.Send("da2", number(50))
		if _, err := a.Pull(ctx, "da2", nil); err == nil {
			t.Error("a pull across the cut succeeded")
		}
		m.Heal()
		m.SetLoss(1)
		a.Send("da2", number(51))
		m.SetLoss(0)
		a.Send("da2", number(52))
		time.Sleep(time.Second)
		synctest.Wait()
		if len(got) != 51 || got[50] != 52 {
			t.Errorf("after cut and loss: %v", got[50:])
		}
		cancel()
		synctest.Wait()
	})
}
