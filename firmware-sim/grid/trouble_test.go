package grid

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if !after(t.Context(), time.Minute) || time.Since(began) != time.Minute {
			t.Errorf("a minute was over after %v", time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began = time.Now()
		if after(ctx, time.Minute) || time.Since(began) != time.Second {
			t.Errorf("the context ended, and it came after %v", time.Since(began))
		}
	})
}
