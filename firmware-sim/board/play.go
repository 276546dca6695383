package board

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"fairwatt/model"
)

// A Source gives samples in order of time; io.EOF ends it. A trace reader is
// one.
type Source interface {
	Next(*model.Sample) error
}

// A Sleeper lets wall time pass; it returns early with ctx's error.
type Sleeper func(ctx context.Context, d time.Duration) error

// playStep is how often the board's clock is moved, in wall time.
const playStep = 100 * time.Millisecond

// Play shows the board one sample after the other, each from its own time to
// that of the next, at so many times real time. sleep is the clock of the wall.
// The last sample stays. It returns nil at the end of the source, ctx's error
// when that ends first.
func Play(ctx context.Context, b *Board, src Source, speed float64, sleep Sleeper) error {
	if !(speed > 0) || math.IsInf(speed, 0) {
		return fmt.Errorf("play: speed %g is not positive", speed)
	}
	var s, next model.Sample
	if err := src.Next(&s); err != nil {
		if errors.Is(err, io.EOF) {
			return nil
		}
		return fmt.Errorf("play: %w", err)
	}
	for {
		b.Feed(&s)
		next = model.Sample{}
		err := src.Next(&next)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("play: %w", err)
		}
		if next.TimeMs < s.TimeMs {
			return fmt.Errorf("play: time goes back from %d to %d ms", s.TimeMs, next.TimeMs)
		}
		span := time.Duration(next.TimeMs-s.TimeMs) * time.Millisecond
		for left := span; left > 0; {
			step := left
			if wall := playStep.Seconds() * speed; wall < left.Seconds() {
				step = max(time.Duration(wall*float64(time.Second)), 1)
			}
			if err := sleep(ctx, time.Duration(float64(step)/speed)); err != nil {
				return err
			}
			b.Advance(step)
			left -= step
		}
		s = next
	}
}
