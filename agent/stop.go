package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fairwatt/proto/wire"
)

// rest is the clean end of the loop: no energy flows for a trade, everything
// is on disk.
func (a *Agent) rest() error {
	a.open()
	a.now = a.clock.read()
	a.flush()
	return nil
}

// farewellTimeout bounds the last publication.
const farewellTimeout = 3 * time.Second

// close says offline, takes the nowcast back and closes everything New was given.
func (a *Agent) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), farewellTimeout)
	defer cancel()
	for _, pipe := range a.deps.Pipes {
		if pipe.Connected() {
			if err := pipe.Publish(ctx, a.publisher.topics.Of(wire.ClassStatus), 1, true, []byte(wire.Offline)); err != nil {
				a.log.Warn("say offline", "err", err)
			}
			if a.region != nil {
				if err := pipe.Publish(ctx, a.publisher.topics.Of(wire.ClassNowcast), 1, true, nil); err != nil {
					a.log.Warn("take the nowcast back", "err", err)
				}
			}
		}
		pipe.Close()
	}
	var errs []error
	for _, s := range a.deps.Sensors {
		if err := s.Halt(); err != nil {
			errs = append(errs, fmt.Errorf("halt %s: %w", s.Name(), err))
		}
	}
	errs = append(errs, a.deps.Outbox.Close(a.deps.Clock.Wall().UnixMilli()))
	return errors.Join(errs...)
}
