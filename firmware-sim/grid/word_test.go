package grid

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"testing"
	"time"

	"fairwatt/model"
	"fairwatt/proto/wire"
)

// What a person says to a running seller stands on the chain that four data
// aggregators agree on, signed by the device, and on the page.
func TestWordsOnTheChain(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Agents, cfg.Buyers, cfg.For, cfg.Links, cfg.Data = 3, 1, 0, "memory", t.TempDir()
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	said := make(chan error, 1)
	device := ""
	speak := func(people []*participant) {
		p := people[slices.IndexFunc(people, func(p *participant) bool { return p.seller })]
		device = p.id
		go func() {
			defer stop()
			said <- speakTo(ctx, p)
		}()
	}
	r, page, err := run(ctx, cfg, Options{Software: "test", Logger: slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelError})), Out: io.Discard, speak: speak})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-said; err != nil {
		t.Fatal(err)
	}
	if !r.ChainVerified || r.Unanswered != 0 || len(r.Problems) > 0 {
		t.Errorf("chain verified %v, %d records unanswered: %q", r.ChainVerified, r.Unanswered, r.Problems)
	}
	var got []string
	for _, w := range page.Words {
		if w.Device != device || w.Height == 0 || !w.Simulated || w.Rule != "B01" {
			t.Errorf("on the page %+v", w)
		}
		got = append(got, fmt.Sprint(w.Do, " by ", w.By, ": ", w.Why))
	}
	if want := []string{"unblock by Bob: done", "block by Ada: the roof"}; !slices.Equal(got, want) {
		t.Errorf("on the page %q, want %q", got, want)
	}
}

// speakTo closes the gate of a running agent and takes that back.
func speakTo(ctx context.Context, p *participant) error {
	say := func(c wire.Command) error {
		c.Schema = wire.SchemaCommand
		line, err := json.Marshal(c)
		if err != nil {
			return err
		}
		if r := p.agent.Ask(ctx, line); !r.OK {
			return fmt.Errorf("%s: %s: %s", c.Do, r.Code, r.Text)
		}
		return nil
	}
	// The time is the trace's: it runs with the sensing clock, an hour a second.
	if err := say(wire.Command{Do: "block", By: "Ada", Why: "the roof", ForMs: (100 * 24 * time.Hour).Milliseconds()}); err != nil {
		return err
	}
	status := p.agent.Status()
	if status.Gate != model.StateBlocked || !slices.ContainsFunc(status.Causes, func(c model.Cause) bool { return c.Rule == "B01" }) {
		return fmt.Errorf("after a block %v: %s", status.Gate, status.Reason)
	}
	return say(wire.Command{Do: "unblock", By: "Bob", Why: "done"})
}
