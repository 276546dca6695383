package grid

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"fairwatt/aggregator/console"
)

// FAIRWATT_SCREENSHOTS=../../docs/img go test -run StormPicture writes storm.png: the page
// while a squall has closed a gate in the west and a generator in the east is warned.
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
func photograph(ctx context.Context, t *testing.T, chromium, page, file string) error {
	if _, err := look(ctx, page, midStorm); err != nil {
		return err
	}
	held, err := holdIcon(page)
	if err != nil {
		return err
	}
	defer held.Close()
	defer held.CloseClientConnections()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return exec.CommandContext(ctx, chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars",
		"--disable-background-networking", "--user-data-dir="+t.TempDir(), "--window-size=1280,1900", "--timeout=50000",
		"--screenshot="+file, held.URL+"/").Run()
}

// holdIcon serves a page through a proxy that holds the page's icon back until the page
// has drawn: it asks for the picture of the tree then. A browser prints a page once all
// of its pictures are there.
func holdIcon(page string) (*httptest.Server, error) {
	target, err := url.Parse(page)
	if err != nil {
		return nil, err
	}
	proxy := &httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	drawn := make(chan struct{})
	var once sync.Once
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/tree.svg"):
			defer once.Do(func() { close(drawn) })
		case strings.HasSuffix(r.URL.Path, "/favicon.svg"):
			select {
			case <-drawn:
			case <-r.Context().Done():
				return
			}
		}
		proxy.ServeHTTP(w, r)
	})), nil
}

// midStorm says whether a gate of the west is closed for the weather while one in the
// east is open and its generator warned, and most agents tell their weather.
func midStorm(s *console.Snapshot) bool {
	closed, warned := false, false
	for i, g := range s.Generators {
		west := i < len(s.Generators)/2
		for _, h := range g.Hazards {
			if h.Kind == "thunderstorm" || h.Kind == "wind" {
				closed = closed || west && h.Level == "block"
				warned = warned || !west && h.Level == "warn" && g.State == "OPEN"
			}
		}
	}
	return closed && warned && len(s.Nowcasts.Senders) > len(s.Generators)/2
}
