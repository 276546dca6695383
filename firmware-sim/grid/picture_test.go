package grid

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"fairwatt/aggregator/console"
)

// FAIRWATT_SCREENSHOTS=DIR go test -run StormPicture writes storm.png: the page while
// a squall has closed gates in the west and generators in the east are warned.
func TestStormPicture(t *testing.T) {
	dir := os.Getenv("FAIRWATT_SCREENSHOTS")
	if dir == "" {
		t.Skip("FAIRWATT_SCREENSHOTS is not set: no picture is written")
	}
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("no Chromium here: the page is not looked at")
	}
	if dir, err = filepath.Abs(dir); err != nil {
		t.Fatal(err)
	}
	seen := make(chan error, 1)
	play(t, func(c *Config) {
		// A third of the usual speed: a browser takes its time.
		c.Storm, c.Speed, c.Agents, c.Buyers, c.For, c.Links, c.HTTP = StormSquall, StormSpeed/3, 8, 2, 0, "memory", "127.0.0.1:0"
	}, func(ctx context.Context, page <-chan string, stop func()) {
		defer stop()
		select {
		case url := <-page:
			seen <- photograph(ctx, t, chromium, url, filepath.Join(dir, "storm.png"))
		case <-ctx.Done():
			seen <- errors.New("no page in time")
		}
	})
	if err := <-seen; err != nil {
		t.Fatal(err)
	}
}

// photograph waits until a storm is in the middle of the map.
func photograph(ctx context.Context, t *testing.T, chromium, url, file string) error {
	if _, err := look(ctx, url, midStorm); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	return exec.CommandContext(ctx, chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars",
		"--disable-background-networking", "--user-data-dir="+t.TempDir(), "--window-size=1280,1900", "--timeout=8000",
		"--screenshot="+file, url+"/").Run()
}

// midStorm says whether gates of the west are closed for the weather while a gate in
// the east is open and its generator warned.
func midStorm(s *console.Snapshot) bool {
	closed, warned := 0, false
	for i, g := range s.Generators {
		for _, h := range g.Hazards {
			if h.Kind != "thunderstorm" && h.Kind != "wind" {
				continue
			}
			switch {
			case i < len(s.Generators)/2 && h.Level == "block":
				closed++
			case i >= len(s.Generators)/2 && h.Level == "warn" && g.State == "OPEN":
				warned = true
			}
		}
	}
	return closed >= 2 && warned && len(s.Nowcasts.Senders) >= 5
}
