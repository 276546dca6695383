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

// A Source gives samples in order of time and ends with io.EOF. A trace reader is
// a Source.
type Source interface {
	Next(*model.Sample) error
}

// A Sleeper lets wall time pass; it returns early with ctx's error.
type Sleeper func(ctx context.Context, d time.Duration) error

// playStep is the wall time between two moves of the board's clock.
const playStep = 100 * time.Millisecond

// Play feeds the board one sample after the other, each from its time until that
// of the next, at speed times real time. sleep lets wall time pass. The last
// sample stays. Play returns nil at the end of the source, and ctx's error if ctx
// ends first.
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
