package replay

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"time"

	"fairwatt/model"
)

// said is a word at its time on the trace's clock.
type said struct {
	atMs int64
	word model.Word
}

// timeWords puts the words onto the clock of the trace, once its first sample is
// there.
func (r *Replay) timeWords(firstMs int64) error {
	unix := r.UnixTime != nil && r.UnixTime()
	r.Judge.BlockClock(firstMs, firstMs, true) // a trace's clock is the one there is
	for i, l := range r.Words {
		at, err := l.T.At(firstMs, unix)
		if err != nil {
			return fmt.Errorf("word %d: t: %w", i+1, err)
		}
		if at < firstMs {
			return fmt.Errorf("word %d: t: %s is before the trace, which begins at %s", i+1, clockText(at), clockText(firstMs))
		}
		w := l.Word
		if l.Until != nil {
			if w.UntilUnixMs, err = l.Until.At(firstMs, unix); err != nil {
				return fmt.Errorf("word %d: until: %w", i+1, err)
			}
		}
		r.said = append(r.said, said{at, w})
	}
	sort.SliceStable(r.said, func(i, j int) bool { return r.said[i].atMs < r.said[j].atMs })
	return nil
}

func clockText(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }

// until lets the time before untilMs pass: people speak, and at a speed that waits
// timers fire at their own time.
func (r *Replay) until(ctx context.Context, pace *pacer, untilMs int64) error {
	for {
		at, timer := r.Judge.NextDeadlineMs()
		timer = timer && r.Speed != 0 && at < untilMs
		speaks := len(r.said) > 0 && r.said[0].atMs < untilMs
		switch {
		case timer && (!speaks || at <= r.said[0].atMs):
			if err := pace.wait(ctx, at); err != nil {
				return err
			}
			if err := r.events(r.Judge.Advance(at)); err != nil {
				return err
			}
		case speaks:
			if err := pace.wait(ctx, r.said[0].atMs); err != nil {
				return err
			}
			if err := r.say(r.said[0]); err != nil {
				return err
			}
			r.said = r.said[1:]
		default:
			return nil
		}
	}
}

// say lets a word have its effect, or tells that it has none.
func (r *Replay) say(s said) error {
	events, err := r.Judge.Say(s.word, s.atMs)
	if told := r.events(events); told != nil {
		return told
	}
	if err == nil {
		return nil
	}
	e := model.Event{TimeMs: s.atMs, Type: model.EventRefused, Word: s.word, Reason: err.Error()}
	var refusal *model.WordRefusal
	if errors.As(err, &refusal) {
		e.Code = refusal.Code
	}
	return r.events([]model.Event{e})
}

// lastWords lets people speak up to the last sample. Who speaks later is not heard by
// anyone, which is a mistake in the list.
func (r *Replay) lastWords(ctx context.Context, pace *pacer, lastMs int64) error {
	if err := r.until(ctx, pace, lastMs+1); err != nil {
		return err
	}
	if len(r.said) > 0 {
		return fmt.Errorf("%d words are said after the trace, which ends at %s; the first at %s", len(r.said), clockText(lastMs), clockText(r.said[0].atMs))
	}
	return nil
}
