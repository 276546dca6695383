package console

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// then is the moment of the pictures: the page's clock is the server's.
var then = time.Date(2026, 6, 1, 15, 20, 0, 0, time.UTC).UnixMilli()

// real is the sample without a simulated value, and without hostile text: what a
// community looks like.
func real() *Snapshot {
	s := sample(then)
	s.Simulated = false
	for i := range s.Generators {
		g := &s.Generators[i]
		g.Simulated = false
		g.Causes = slices.DeleteFunc(g.Causes, func(c Cause) bool { return c.Text == hostile || c.Title == "" })
		g.Costs = slices.DeleteFunc(g.Costs, func(c Cost) bool { return c.Rule == hostile })
	}
	for i := range s.Nowcasts.Senders {
		s.Nowcasts.Senders[i].Simulated = false
		if s.Nowcasts.Senders[i].Site == hostile {
			s.Nowcasts.Senders[i].Site = "harbour"
		}
	}
	s.Nowcasts.LastRefused = "nowcast of pv-1: replayed"
	for i := range s.Words {
		s.Words[i].Why = strings.ReplaceAll(s.Words[i].Why, hostile, "looked at the inverter")
	}
	for i := range s.Trades {
		s.Trades[i].Reason = strings.ReplaceAll(s.Trades[i].Reason, hostile, "the meters differ by 120 Wh")
	}
	for i := range s.Tree.Nodes {
		s.Tree.Nodes[i].Why = strings.ReplaceAll(s.Tree.Nodes[i].Why, hostile, "in dispute with da-2")
		s.Tree.Nodes[i].EarnedE4 = s.Tree.Nodes[i].TrustE4
	}
	return s
}

// A sight is one page as one frame of the browser sees it.
type sight struct {
	Name       string
	Violations []string // of accessibility, by axe
	Simulated  bool     // the badge is visible
	Wide       bool     // it scrolls sideways
	Text       string
}

// A gallery shows pages in frames, waits until each has what it should have, and hears
// what they look like.
type gallery struct {
	*httptest.Server
	mu    sync.Mutex
	seen  map[string]sight
	want  int
	ready chan struct{}
}

// watcher runs in each frame. It waits until the page says what it should, and then tells
// what it sees.
const watcher = `(async () => {
  const q = new URLSearchParams(location.search), need = q.get('need');
  for (const end = performance.now() + 60000; performance.now() < end && !document.querySelector(need);) await new Promise(r => setTimeout(r, 20));
  await new Promise(r => setTimeout(r, 100)); // no animation frames come to what is out of sight
  let violations = [];
  if (q.get('axe') && window.axe) {
    const r = await axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'], resultTypes: ['violations'], iframes: false });
    violations = r.violations.map(v => v.id + ': ' + v.help + ' ' + v.nodes.slice(0, 3).map(n => n.target.join(' ')).join(' | '));
  }
  violations.push(...window.errors.map(e => 'error: ' + e));
  if (!document.querySelector(need)) violations.push('the page never had ' + need);
  const root = document.documentElement;
  await fetch('/told', { method: 'POST', body: JSON.stringify({ Name: q.get('name'), Violations: violations,
    Simulated: [...document.querySelectorAll('.badge.sim')].some(b => getComputedStyle(b).display !== 'none'),
    Wide: root.scrollWidth > root.clientWidth, Text: document.body.innerText }) });
  parent.postMessage('told', '*');
})();`

// hanger shows one page after the other, and leaves the last one.
const hanger = `(async () => {
  const views = JSON.parse(document.getElementById('views').textContent);
  for (const [i, v] of views.entries()) {
    const frame = document.createElement('iframe');
    frame.style.cssText = 'border:0;display:block;width:' + v.width + 'px;height:' + v.height + 'px';
    const told = new Promise(r => addEventListener('message', r, { once: true }));
    frame.src = v.src;
    document.body.prepend(frame);
    await told;
    if (i < views.length - 1) frame.remove();
  }
})();`

// A view is one page at one width.
type view struct {
	name, hash, need string
	width, height    int
}

func newGallery(t *testing.T, s *Snapshot, axe bool, views ...view) *gallery {
	g := &gallery{seen: make(map[string]sight), want: len(views), ready: make(chan struct{})}
	inner := New(newFixed(s), Options{}).Handler()
	index, err := static.ReadFile("static/index.html")
	if err != nil {
		t.Fatal(err)
	}
	script := `<script src="/watcher.js" defer></script><script>window.errors=[];addEventListener("error",e=>errors.push(e.message));addEventListener("unhandledrejection",e=>errors.push(String(e.reason)))</script></head>`
	var engine []byte
	if axe {
		engine = axeEngine(t)
		script = `<script src="/axe.js" defer></script>` + script
	}
	page := strings.Replace(string(index), `<link rel="icon"`, strings.TrimSuffix(script, "</head>")+`<link rel="icon"`, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /axe.js", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(engine) })
	mux.HandleFunc("GET /watcher.js", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, watcher) })
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, page) })
	mux.HandleFunc("GET /gallery", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `<!doctype html><meta name="color-scheme" content="light dark"><body style="margin:0">`)
		var list []map[string]any
		for _, v := range views {
			q := url.Values{"name": {v.name}, "need": {v.need}, "axe": {map[bool]string{true: "1"}[axe]}}
			list = append(list, map[string]any{"src": "/?" + q.Encode() + "#" + v.hash, "width": v.width, "height": v.height})
		}
		b, err := json.Marshal(list)
		if err != nil {
			t.Error(err)
		}
		fmt.Fprintf(w, `<script type="application/json" id="views">%s</script><script>%s</script>`, b, hanger)
		fmt.Fprint(w, `<img src="/hold.svg" alt="">`)
	})
	mux.HandleFunc("POST /told", func(w http.ResponseWriter, r *http.Request) {
		var s sight
		if err := json.NewDecoder(r.Body).Decode(&s); err != nil {
			t.Error(err)
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.seen[s.Name] = s; len(g.seen) == g.want {
			close(g.ready)
		}
	})
	mux.HandleFunc("GET /hold.svg", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-g.ready:
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { inner.ServeHTTP(frameable{w}, r) })
	g.Server = httptest.NewServer(mux)
	t.Cleanup(g.Close)
	return g
}

// axeEngine is axe-core 4.10.3 (MPL-2.0), as the npm registry has it.
func axeEngine(t *testing.T) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/axe.min.js.gz")
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	engine, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return engine
}

func (g *gallery) look(t *testing.T, dark bool, args ...string) map[string]sight {
	t.Helper()
	if dark {
		args = append(args, "--blink-settings=preferredColorScheme=0")
	}
	browser(t, g.URL+"/gallery", append(args, "--hide-scrollbars")...)
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.seen) < g.want {
		t.Fatalf("%d of %d pages told what they look like: %v", len(g.seen), g.want, slices.Sorted(maps.Keys(g.seen)))
	}
	return g.seen
}

var everyPage = []view{
	{name: "home", hash: "", need: "svg.strip .power"},
	{name: "generator", hash: "/generator/ridge/wind-2", need: ".chart canvas"},
	{name: "trade", hash: "/trade/t-house-1-41", need: ".entry.status"},
	{name: "participant", hash: "/participant/house-1", need: ".entry"},
	{name: "block", hash: "/block/470", need: ".entry"},
	{name: "tree", hash: "/tree", need: "svg.moving"},
	{name: "search", hash: "/search/pv", need: "#page-body li a"},
	{name: "none", hash: "/participant/nobody", need: "#page-note:not(:empty)"},
}

// Every page is accessible, fits its window and says its things in words, on a phone
// and a desktop, in light and dark.
func TestEveryPage(t *testing.T) {
	for _, dark := range []bool{false, true} {
		var views []view
		for _, v := range everyPage {
			for _, width := range []int{390, 1280} {
				if dark && width == 1280 {
					continue // colours are the same at any width
				}
				w := v
				w.name, w.width, w.height = fmt.Sprintf("%s-%d", v.name, width), width, 1200
				views = append(views, w)
			}
		}
		seen := newGallery(t, sample(then), true, views...).look(t, dark, "--dump-dom", "--window-size=1300,1200")
		for name, s := range seen {
			for _, v := range s.Violations {
				t.Errorf("%s, dark %v: %s", name, dark, v)
			}
			if s.Wide {
				t.Errorf("%s, dark %v: it scrolls sideways", name, dark)
			}
			if !s.Simulated && strings.HasPrefix(name, "home") {
				t.Errorf("%s: it does not say that it is simulated", name)
			}
		}
		if dark {
			continue
		}
		for name, want := range map[string][]string{
			"home-1280":        {"power now", "4.52 kW", "gate open 77 % of the time known", "Cost most: Gusts are strong, closed for 2.5 h, 12.3 kWh not sold.", "gusts 7.2 m/s, 21 °C", "4 of 4", "2 of 2"},
			"generator-1280":   {"Gate open, % of the time", "Power, kW", "Wind, m/s", "What each hazard has cost", "12.3", "Newest trades", "t-house-2-42"},
			"trade-1280":       {"house-1 buys 2.5 kWh from pv-1", "Settled: the energy came and is paid", "pv-1 billed 2.491 kWh, 0.37", "refused: gate not open", "outcome not kept here", "proof", hostile},
			"participant-1280": {"24.125", "It may not trade until ", "Owes in fines", "41 kept, 1 broken", "It is suspended and takes part in nothing since block 480: its meter is looked at. It has changed its key, in block 301.", "had money set aside: wallet −0.375, escrow +0.375"},
			"block-1280":       {"Made by da-3, signed by da-1, da-2, da-3", "kept a promise", "credit 0.812"},
			"tree-1280":        {"A dot is a block", "da-3"},
			"search-1280":      {"pv-1 at harbour", "t-house-1-41, settled"},
			"none-1280":        {`no participant "nobody" on this chain`},
		} {
			for _, w := range want {
				if !strings.Contains(seen[name].Text, w) {
					t.Errorf("%s does not say %q:\n%.3000s", name, w, seen[name].Text)
				}
			}
		}
		if text := seen["home-1280"].Text; strings.Index(text, "wind-2") > strings.Index(text, "pv-1\n") {
			t.Error("the closed gate is not the first")
		}
	}
}

// An empty community says what to do next, and one with real values does not say that
// they are simulated.
func TestPageOfOthers(t *testing.T) {
	empty := &Snapshot{Version: 1, TimeMs: then, Name: "New", DA: "da-1", StartedMs: then, TradeCount: map[string]int{},
		Generators: []Generator{}, Trades: []Trade{}, Words: []Word{}, Chain: Chain{Blocks: []Block{}},
		Tree:      Tree{Nodes: []Node{}, Edges: []Edge{}},
		Agreement: Agreement{Members: 4, Quorum: 3, Reachable: 1, Stuck: "no block can come: 1 of 4 data aggregators can be reached, and 3 are needed"},
		Counters:  Counters{Brokers: 1}}
	out := real()
	out.Generators[0].Membership = Membership{Standing: "suspended", StandingHeight: 7}
	for name, c := range map[string]struct {
		s    *Snapshot
		need string
		want []string
	}{
		"real": {out, "svg.strip .power", []string{"1 of 4", "suspended"}},
		"empty": {empty, "#trade-rows .empty", []string{
			"no block can come: 1 of 4", "No MQTT broker is connected: no device is heard", "1 of 4", "0 of 1",
			"aggregator mc register", "agent run", "aggregator mc deposit", "No block yet.", "No tree yet", "No one has spoken yet.",
		}},
	} {
		s := newGallery(t, c.s, false, view{name, "", c.need, 1280, 1200}).look(t, false, "--dump-dom")[name]
		if s.Simulated || len(s.Violations) > 0 {
			t.Errorf("%s: %+v", name, s)
		}
		for _, w := range c.want {
			if !strings.Contains(s.Text, w) {
				t.Errorf("%s does not say %q:\n%s", name, w, s.Text)
			}
		}
	}
}

// The pictures of the docs are made here, and the page still looks like them.
// FAIRWATT_UPDATE=1 makes them anew.
func TestPicturesOfThePage(t *testing.T) {
	for _, c := range []struct {
		file string
		view view
		dark bool
	}{
		{"page.png", view{"home", "", "svg.strip .power", 1280, 1000}, false},
		{"page-phone.png", view{"home", "", "svg.strip .power", 390, 1500}, false},
		{"page-dark.png", view{"home", "", "svg.strip .power", 1280, 1000}, true},
		{"generator.png", view{"generator", "/generator/ridge/wind-2", ".chart canvas", 1280, 1150}, false},
		{"trade-phone-dark.png", view{"trade", "/trade/t-house-1-41", ".entry.status", 390, 1100}, true},
	} {
		t.Run(c.file, func(t *testing.T) {
			shot := filepath.Join(t.TempDir(), c.file)
			g := newGallery(t, real(), false, c.view)
			g.look(t, c.dark, "--screenshot="+shot, fmt.Sprintf("--window-size=%d,%d", max(c.view.width, 500), c.view.height))
			got := picture(t, shot).(interface {
				SubImage(image.Rectangle) image.Image
			}).SubImage(image.Rect(0, 0, c.view.width, c.view.height))
			kept := filepath.Join("../../docs/img", c.file)
			if os.Getenv("FAIRWATT_UPDATE") != "" {
				write(t, kept, got)
				return
			}
			if share := differs(got, picture(t, kept)); share > 0.04 {
				t.Errorf("%.1f %% of the picture differ from docs/img/%s; look at both, then FAIRWATT_UPDATE=1 go test -run Pictures", 100*share, c.file)
			}
		})
	}
}

func picture(t *testing.T, path string) image.Image {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func write(t *testing.T, path string, p image.Image) {
	t.Helper()
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, p); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// differs is the share of squares of 16 by 16 pixels whose mean colours differ by more
// than a twelfth of white: other fonts differ less, another layout more.
func differs(a, b image.Image) float64 {
	if a.Bounds().Size() != b.Bounds().Size() {
		return 1
	}
	const side = 16
	at := func(p image.Image, x, y int) (sum [3]float64) {
		o := p.Bounds().Min
		for i := range side {
			for k := range side {
				r, g, b, _ := p.At(o.X+x+i, o.Y+y+k).RGBA()
				sum[0], sum[1], sum[2] = sum[0]+float64(r>>8), sum[1]+float64(g>>8), sum[2]+float64(b>>8)
			}
		}
		return sum
	}
	n, bad := 0, 0
	size := a.Bounds().Size()
	for y := 0; y+side <= size.Y; y += side {
		for x := 0; x+side <= size.X; x += side {
			n++
			s, u := at(a, x, y), at(b, x, y)
			for i := range s {
				if d := (s[i] - u[i]) / (side * side); d > 21 || d < -21 {
					bad++
					break
				}
			}
		}
	}
	return float64(bad) / float64(n)
}
