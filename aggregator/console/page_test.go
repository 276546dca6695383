package console

import (
	"context"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fairwatt/proto/wire"
)

// browser runs a headless Chromium on a page of a test server, in UTC.
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
	ctx, cancel := context.WithTimeout(context.Background(), 400*time.Second) // on a loaded machine
	defer cancel()
	all := append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--user-data-dir=" + t.TempDir(),
		"--timeout=380000",
	}, args...)
	cmd := exec.CommandContext(ctx, path, append(all, url)...)
	cmd.Env = append(os.Environ(), "TZ=UTC")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("chromium: %v", err)
	}
	return string(out)
}

// A stage is a server whose page a browser looks at. A browser prints a page once
// all of its pictures are there, so the page's icon is held back until the page
// is as it should be seen. The event stream goes on meanwhile, as in life.
type stage struct {
	*httptest.Server
	src   *fixed
	ready chan struct{}
	once  sync.Once

	// drawn is called when the page has drawn a snapshot: it asks for the picture
	// of the tree then. streams is called with the number of the event stream
	// that the page opens; it returns false to refuse it.
	mu       sync.Mutex // the browser is a process of its own: nothing orders it after the test
	drawn    func()
	streams  func(n int64, w http.ResponseWriter, r *http.Request) bool
	opened   atomic.Int64
	pictures atomic.Int64
}

func newStage(t *testing.T, s *Snapshot) *stage {
	st := &stage{src: newFixed(s), ready: make(chan struct{})}
	st.drawn = st.look
	inner := New(st.src, Options{MinInterval: time.Millisecond}).Handler()
	st.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/favicon.svg"):
			select {
			case <-st.ready:
			case <-r.Context().Done():
				return
			}
		case strings.HasSuffix(r.URL.Path, "/tree.svg"):
			st.pictures.Add(1)
			drawn, _ := st.acts()
			drawn()
		case strings.HasSuffix(r.URL.Path, "/events"):
			n := st.opened.Add(1)
			if _, streams := st.acts(); streams != nil && !streams(n, w, r) {
				return
			}
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(st.Close)
	return st
}

func (st *stage) acts() (drawn func(), streams func(int64, http.ResponseWriter, *http.Request) bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.drawn, st.streams
}

// act changes what the stage does; nil leaves a part as it is.
func (st *stage) act(drawn func(), streams func(int64, http.ResponseWriter, *http.Request) bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if drawn != nil {
		st.drawn = drawn
	}
	if streams != nil {
		st.streams = streams
	}
}

// look lets the browser print the page.
func (st *stage) look() { st.once.Do(func() { close(st.ready) }) }

// dom is the page that a browser sees.
func (st *stage) dom(t *testing.T) string {
	t.Helper()
	return browser(t, st.URL+"/", "--dump-dom")
}

// loseIt ends the event stream once the page has drawn, and refuses the next.
func (st *stage) loseIt() {
	drawn := make(chan struct{})
	st.act(sync.OnceFunc(func() { close(drawn) }), func(n int64, w http.ResponseWriter, r *http.Request) bool {
		if n > 1 { // it has seen the end of the first, and tries again
			st.look()
			http.Error(w, "gone", http.StatusBadGateway)
			return false
		}
		ctx, cancel := context.WithCancel(r.Context())
		go func() { <-drawn; cancel() }()
		New(st.src, Options{}).Handler().ServeHTTP(w, r.WithContext(ctx))
		return false
	})
}

func says(t *testing.T, dom string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(dom, html.EscapeString(w)) && !strings.Contains(dom, w) {
			t.Errorf("the page does not say %q", w)
		}
	}
}

// The page says everything in words, each cause once, and text from outside stays
// text.
func TestPageInABrowser(t *testing.T) {
	now := time.Now().UnixMilli()
	s := sample(now)
	s.Agreement = Agreement{Members: 3, Quorum: 3, Reachable: 2, LastVoteMs: now, Stuck: "no block can come: <i>two</i> of three",
		Peers: []Peer{{ID: "da-2", Height: 481, HeardMs: now}, {ID: "da-3", Refused: 1234, CutOffMs: now + 9000}}}
	st := newStage(t, s)
	dom := st.dom(t)
	says(t, dom,
		"no block can come: <i>two</i> of three", "2 of 3; a block needs 3", "da-2: block 481; da-3: not heard, 1,234 refused, cut off",
		"✔ OPEN", "✖ BLOCKED", "? OFFLINE", "… CLEARING", "It counts as blocked: the agent is offline; it last said OPEN, since ", "1 of 4",
		"A slot lasts 15 min and takes orders until 5 min before it.", "2: 3.400 kWh from 0.15", "1: 1.250 kWh up to 0.24", "takes orders", "0.1835", "4.987", "3 readings to come",
		"t-house-1-41", "hazard hold", "2.491 of 2.500", "da-3 is the root",
		"da-1 gets blocks from da-2 at 3.1 ms", "deposed", "simulated", "refused replayed: 3", "Seaside community – fairwatt", "Live",
		"Contactor: none", "What rules have cost since ",
		"Gusts are strong (W03): closed for 2.5 h, 30 min of them alone; 12.3 kWh not sold, worth 1.48.", "Contactor: GPIO22, feedback GPIO27; on the chain: watched", "X99: a text of an older agent.",
		"<b>Ada Lovelace</b> acknowledged E12 of", "(key of ada) in block 40", "<b>Bob</b> closed the gate of", ": the roof",
		"3 agents tell theirs; 140 nowcasts handed on.", "gusts 1.91 of a strong hour there; pressure ↓ 3.1 hPa in 3 h; thunder 7 min before, 31 strokes in 3 h; its gate is closed for the weather",
		"pressure ↑ 0.4 hPa in 3 h", `<circle class="place storm"`, `<circle class="closed"`, "refused replayed: 2", "Refused last, ", "20 km",
	)
	if n := strings.Count(dom, "31.4 m/s"); n != 2 { // the cause, and the trade that it held
		t.Errorf("the page says 31.4 m/s %d times", n)
	}
	if st.pictures.Load() == 0 {
		t.Error("the page did not ask for the picture of the tree")
	}
	if strings.Contains(dom, "<title>pwned") || !strings.Contains(dom, "&lt;img src=x") {
		t.Error("text from outside became markup")
	}
}

// The page's words are those of the agent, the monitor and Home Assistant.
func TestPageSpeaksAsWire(t *testing.T) {
	now := time.Now().UTC()
	s := sample(now.UnixMilli())
	dom := newStage(t, s).dom(t)
	for _, g := range s.Generators {
		if g.Why != "" {
			continue
		}
		at := func(ms int64) (out wire.Time) {
			if ms != 0 {
				out.Time = time.UnixMilli(ms)
			}
			return out
		}
		view := wire.Gate[wire.Cause]{State: g.Said, Since: at(g.SinceMs), OpensAt: at(g.OpensAtMs), Waits: g.Waits}
		for _, c := range g.Causes {
			view.Causes = append(view.Causes, wire.Cause{Rule: c.Rule, Text: c.Text, CauseWords: wire.CauseWords{
				Title: c.Title, Says: c.Says, Since: at(c.SinceMs), Ends: c.Ends, EndsAt: at(c.EndsAtMs),
			}})
		}
		for _, sentence := range view.Says(view.Causes, now) {
			text := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(sentence)
			if !strings.Contains(dom, ">"+text+"<") {
				t.Errorf("%s: the page does not say %q", g.ID, sentence)
			}
		}
	}
}

// A page whose server is gone says so, and shows no gate as open: all that it
// shows is grey.
func TestPageLosesItsServer(t *testing.T) {
	st := newStage(t, sample(time.Now().UnixMilli()))
	st.loseIt()
	isLost(t, st.dom(t))
}

// A cable that is pulled ends no stream: the page notices the silence.
func TestPageNoticesSilence(t *testing.T) {
	if testing.Short() {
		t.Skip("the page waits 12 s before it takes silence for an end")
	}
	st := newStage(t, sample(time.Now().UnixMilli()))
	st.act(func() {}, func(n int64, w http.ResponseWriter, r *http.Request) bool {
		if n > 1 {
			st.look()
			http.Error(w, "gone", http.StatusBadGateway)
			return false
		}
		body, err := json.Marshal(st.src.Snapshot())
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "event: snapshot\ndata: %s\n\n", body)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		return false
	})
	isLost(t, st.dom(t))
}

func isLost(t *testing.T, dom string) {
	t.Helper()
	says(t, dom, "No connection since ", "? UNKNOWN", "It counts as blocked: this page has no connection, since ", `<body class="lost">`, "No connection – Seaside", "? of 4")
	for _, open := range []string{"✔", "Trading is open", "Live"} {
		if strings.Contains(dom, open) {
			t.Errorf("the page still says %q", open)
		}
	}
}

// A page that hears no more of one gate shows that the last word has lapsed,
// though the server said OPEN then.
func TestPageLetsAGateLapse(t *testing.T) {
	s := sample(time.Now().UnixMilli())
	s.Generators = s.Generators[:1]
	s.Generators[0].LapsesMs = s.TimeMs - 1
	dom := newStage(t, s).dom(t)
	says(t, dom, "? EXPIRED", "it said OPEN", "0 of 1")
	if strings.Contains(dom, "✔") {
		t.Error("it is still open")
	}
}

// FAIRWATT_SCREENSHOTS=DIR go test -run Screenshots writes pictures of the page.
func TestScreenshots(t *testing.T) {
	dir := os.Getenv("FAIRWATT_SCREENSHOTS")
	if dir == "" {
		t.Skip("FAIRWATT_SCREENSHOTS is not set: no pictures are written")
	}
	for _, c := range []struct {
		name          string
		width, height int
		dark, lost    bool
	}{
		{"desktop", 1280, 1500, false, false}, {"desktop-dark", 1280, 1500, true, false}, {"phone", 390, 3600, false, false},
		{"phone-dark", 390, 3600, true, false}, {"desktop-lost", 1280, 1500, false, true}, {"desktop-lost-dark", 1280, 1500, true, true},
	} {
		st := newStage(t, sample(time.Now().UnixMilli()))
		if c.lost {
			st.loseIt()
		}
		args := []string{
			"--hide-scrollbars", fmt.Sprintf("--window-size=%d,%d", max(c.width, 500), c.height),
			"--screenshot=" + filepath.Join(dir, c.name+".png"),
		}
		if c.dark {
			args = append(args, "--blink-settings=preferredColorScheme=0")
		}
		url := st.URL + "/"
		if c.width < 500 {
			// A headless window is never narrower than 500 px: a frame is.
			url = phoneFrame(t, st, c.width, c.height)
		}
		browser(t, url, args...)
	}
}

func phoneFrame(t *testing.T, st *stage, width, height int) string {
	t.Helper()
	inner := st.Config.Handler
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	mux.HandleFunc("/frame", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<!doctype html><meta name="color-scheme" content="light dark"><body style="margin:0"><iframe src="/" style="border:0;width:%dpx;height:%dpx"></iframe>`, width, height)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { inner.ServeHTTP(frameable{w}, r) })
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
