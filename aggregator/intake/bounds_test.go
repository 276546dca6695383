package intake

import (
	"testing"
	"time"
)

func TestBucket(t *testing.T) {
	now := time.Unix(0, 0)
	b := NewBucket(now, 3)
	for i, want := range []bool{true, true, true, false} {
		if got := b.Take(now, 2, 3); got != want {
			t.Errorf("take %d = %v", i, got)
		}
	}
	if b.Take(now.Add(time.Second), 2, 3); !b.Take(now.Add(time.Second), 2, 3) || b.Take(now.Add(time.Second), 2, 3) {
		t.Error("a second brings two")
	}
	if b.Take(now.Add(-time.Hour), 2, 3) {
		t.Error("a clock set back brings something")
	}
}

func TestRecentForgetsTheOldest(t *testing.T) {
	r := NewRecent[int](100)
	for i := range 1000 {
		r.Put([32]byte{byte(i), byte(i >> 8)}, i)
		if len(r.now)+len(r.old) > 100 {
			t.Fatalf("%d kept", len(r.now)+len(r.old))
		}
		if i >= 49 {
			old := i - 49
			if v, ok := r.Get([32]byte{byte(old), byte(old >> 8)}); !ok || v != old {
				t.Fatalf("after %d: %d is gone", i, old)
			}
		}
	}
}

func TestQuantile(t *testing.T) {
	none, one, four := Stats{}, Stats{FinalMs: []float64{7}}, Stats{FinalMs: []float64{1, 2, 3, 4}}
	if none.Quantile(0.5) != 0 || one.Quantile(0.99) != 7 || four.Quantile(0.5) != 3 {
		t.Error("quantile")
	}
}
