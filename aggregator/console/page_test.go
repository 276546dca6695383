package console

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// browser runs a headless Chromium on a page of a test server.
func browser(t *testing.T, url string, args ...string) string {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		t.Skip("no Chromium here: the page is not looked at")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	all := append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--user-data-dir=" + t.TempDir(),
		"--virtual-time-budget=3000", "--timeout=20000",
	}, args...)
	out, err := exec.CommandContext(ctx, path, append(all, url)...).Output()
	if err != nil {
		t.Fatalf("chromium: %v", err)
	}
	return string(out)
}

// once serves one event and ends the stream, since a browser that is to print
// a page waits for all that the page has asked for.
func once(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/events") {
			ctx, cancel := context.WithTimeout(r.Context(), 300*time.Millisecond)
			defer cancel()
			r = r.WithContext(ctx)
		}
		h.ServeHTTP(w, r)
	})
}

// The page says everything in words, and text from outside stays text.
func TestPageInABrowser(t *testing.T) {
	var pictures atomic.Int64
	handler := once(New(newFixed(sample(time.Now().UnixMilli())), Options{}).Handler())
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/tree.svg" {
			pictures.Add(1)
		}
		handler.ServeHTTP(w, r)
	}))
	defer srv.Close()
	dom := browser(t, srv.URL+"/", "--dump-dom")
	for _, want := range []string{
		"✔ OPEN", "✖ BLOCKED", "? EXPIRED", "W03 wind: block", "gust 31.4 m/s (&gt;= 25 m/s)",
		"wind gust, 1.2 s old", "insulation 41 kohm", "leakage no value, stale", "latched", "t-house-1-41", "hazard hold", "2.491 of 2.500", "da-3 is the root",
		"da-1 gets blocks from da-2 at 3.1 ms", "failed", "simulated", "refused replayed: 3", "Seaside community – fairwatt", "shown as of",
		"<b>Ada Lovelace</b> acknowledged E12 of", "(key of ada) in block 40", "<b>Bob</b> closed the gate of", ": the roof",
	} {
		if !strings.Contains(dom, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if strings.Contains(dom, "wind gust 31.4") {
		t.Error("the page says a cause twice: in its text and as its input")
	}
	if pictures.Load() == 0 {
		t.Error("the page did not ask for the picture of the tree")
	}
	if strings.Contains(dom, "<title>pwned") || !strings.Contains(dom, "&lt;img src=x") {
		t.Error("text from outside became markup")
	}
}

// FAIRWATT_SCREENSHOTS=DIR go test -run Screenshots writes pictures of the page.
func TestScreenshots(t *testing.T) {
	dir := os.Getenv("FAIRWATT_SCREENSHOTS")
	if dir == "" {
		t.Skip("FAIRWATT_SCREENSHOTS is not set: no pictures are written")
	}
	srv := httptest.NewServer(once(New(newFixed(sample(time.Now().UnixMilli())), Options{}).Handler()))
	defer srv.Close()
	for _, c := range []struct {
		name          string
		width, height int
		dark          bool
	}{{"desktop", 1280, 1500, false}, {"desktop-dark", 1280, 1500, true}, {"phone", 390, 3600, false}, {"phone-dark", 390, 3600, true}} {
		args := []string{
			"--hide-scrollbars", fmt.Sprintf("--window-size=%d,%d", max(c.width, 500), c.height),
			"--screenshot=" + filepath.Join(dir, c.name+".png"),
		}
		if c.dark {
			args = append(args, "--blink-settings=preferredColorScheme=0")
		}
		url := srv.URL + "/"
		if c.width < 500 {
			// A headless window is never narrower than 500 px: a frame is.
			url = phoneFrame(t, srv.URL, c.width, c.height)
		}
		browser(t, url, args...)
	}
}

func phoneFrame(t *testing.T, url string, width, height int) string {
	t.Helper()
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	mux.HandleFunc("/frame", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<!doctype html><meta name="color-scheme" content="light dark"><body style="margin:0"><iframe src="/" style="border:0;width:%dpx;height:%dpx"></iframe>`, width, height)
	})
	inner := New(newFixed(sample(time.Now().UnixMilli())), Options{}).Handler()
	mux.Handle("/", once(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner.ServeHTTP(frameable{w}, r)
	})))
	return srv.URL + "/frame"
}

// frameable lets the test's own frame show the page.
type frameable struct{ http.ResponseWriter }

func (f frameable) WriteHeader(code int) {
	f.Header().Del("Content-Security-Policy")
	f.ResponseWriter.WriteHeader(code)
}

func (f frameable) Write(b []byte) (int, error) {
	f.Header().Del("Content-Security-Policy")
	return f.ResponseWriter.Write(b)
}

func (f frameable) Unwrap() http.ResponseWriter { return f.ResponseWriter }
