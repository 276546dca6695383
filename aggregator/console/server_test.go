package console

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"fairwatt/aggregator/ledger"
)

func get(t *testing.T, h http.Handler, target string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:8080"+target, nil)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestAnswers(t *testing.T) {
	h := New(newFixed(sample(1_790_000_000_000)), Options{}).Handler()
	for _, c := range []struct {
		target string
		status int
		want   string
	}{
		{"/", 200, `<script src="app.js" defer></script>`},
		{"/app.js", 200, "EventSource"},
		{"/style.css", 200, "prefers-color-scheme"},
		{"/favicon.svg", 200, "<svg"},
		{"/api/v1/snapshot", 200, `"accounting_node":"da-3"`},
		{"/api/v1/generators", 200, `"rule":"W03"`},
		{"/api/v1/trades/t-house-2-42", 200, `"held_by_hazard":true`},
		{"/api/v1/trades/none", 404, `no trade \"none\"`},
		{"/api/v1/blocks?from=481", 200, `{"blocks":[{"height":481,`},
		{"/api/v1/blocks", 200, `"next":101`},
		{"/api/v1/blocks?from=9999", 200, `{"blocks":[]}`},
		{"/api/v1/blocks?from=0", 400, "is not a height"},
		{"/api/v1/blocks?from=x", 400, `from=\"x\"`},
		{"/healthz", 200, `"ok"`},
		{"/nothing", 404, ""},
	} {
		w := get(t, h, c.target)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("GET %s: %d %.200s; want %d with %q", c.target, w.Code, w.Body, c.status, c.want)
		}
		if csp := w.Header().Get("Content-Security-Policy"); csp != policy || strings.Contains(csp, "unsafe") {
			t.Errorf("GET %s: policy %q", c.target, csp)
		}
	}
}

// The picture brings its own style, so it has its own policy: still no
// script and nothing loaded.
func TestTreePicture(t *testing.T) {
	w := get(t, New(newFixed(sample(1_790_000_000_000)), Options{}).Handler(), "/api/v1/tree.svg")
	if w.Code != 200 || w.Header().Get("Content-Type") != "image/svg+xml" || !strings.Contains(w.Body.String(), ">this one</text>") {
		t.Errorf("%d %s: %.300s", w.Code, w.Header().Get("Content-Type"), w.Body)
	}
	csp := w.Header().Get("Content-Security-Policy")
	if !strings.HasPrefix(csp, "default-src 'none';") || strings.Contains(csp, "script") {
		t.Errorf("policy %q", csp)
	}
}

func TestOnlyReading(t *testing.T) {
	h := New(newFixed(sample(0)), Options{}).Handler()
	r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:8080/api/v1/snapshot", strings.NewReader("{}"))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
}

func TestForeignHostIsRefused(t *testing.T) {
	h := New(newFixed(sample(0)), Options{Hosts: []string{"fairwatt.example"}}).Handler()
	for host, want := range map[string]int{
		"127.0.0.1:8080": 200, "[::1]:8080": 200, "localhost": 200, "FAIRWATT.example:80": 200,
		"attacker.example": 421, "": 421,
	} {
		r := httptest.NewRequest(http.MethodGet, "/api/v1/snapshot", nil)
		r.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("host %q: %d, want %d", host, w.Code, want)
		}
	}
}

func TestHealthTellsTheFault(t *testing.T) {
	s := sample(0)
	s.Fault = "store block 12: no space left on device"
	w := get(t, New(newFixed(s), Options{}).Handler(), "/healthz")
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "no space left") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestMetrics(t *testing.T) {
	w := get(t, New(newFixed(sample(0)), Options{Metrics: func(w io.Writer) { _, _ = io.WriteString(w, "extra 1\n") }}).Handler(), "/metrics")
	for _, want := range []string{
		`fairwatt_gate_open{site="harbour",device="pv-1"} 1`,
		`fairwatt_gate_state{site="ridge",device="wind-2",state="blocked"} 1`,
		`fairwatt_gate_state{site="ridge",device="wind-2",state="open"} 0`,
		`fairwatt_hazard_probability_ratio{site="ridge",device="wind-2",kind="wind"} 0.931`,
		`fairwatt_da_height 482`, `fairwatt_da_records_refused_total{code="replayed"} 3`,
		`fairwatt_da_commit_seconds{quantile="0.99"} 0.0881`, `fairwatt_da_trades{status="settled"} 118`, "extra 1",
		`fairwatt_da_nowcast_senders 3`, `fairwatt_da_nowcasts_taken_total 71`, `fairwatt_da_nowcasts_refused_total{code="replayed"} 2`,
		`fairwatt_da_nowcasts_handed_total 140`, `fairwatt_da_nowcast_deliveries_total 88`,
	} {
		if !strings.Contains(w.Body.String(), want+"\n") {
			t.Errorf("no line %s", want)
		}
	}
}

// stream opens an event stream and returns a function that reads the next
// snapshot.
func stream(t *testing.T, url string) (next func() Snapshot, status int, stop func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/api/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	return func() Snapshot {
			for lines.Scan() {
				if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
					var s Snapshot
					if err := json.Unmarshal([]byte(data), &s); err != nil {
						t.Fatal(err)
					}
					return s
				}
			}
			t.Fatalf("the stream ended: %v", lines.Err())
			return Snapshot{}
		}, resp.StatusCode, func() {
			cancel()
			_ = resp.Body.Close()
			client.CloseIdleConnections()
		}
}

func TestStreamAndLimitsAndCleanEnd(t *testing.T) {
	defer goleak.VerifyNone(t)
	src := newFixed(sample(0))
	l, err := Listen("127.0.0.1:0", false)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	srv := New(src, Options{MaxStreams: 1, MinInterval: time.Millisecond})
	go func() { done <- srv.Serve(ctx, l) }()
	url := "http://" + l.Addr().String()

	next, _, stop := stream(t, url)
	if s := next(); s.Version != 7 || s.Chain.Height != 482 {
		t.Errorf("first event: version %d, height %d", s.Version, s.Chain.Height)
	}
	src.set(func(s *Snapshot) { s.Chain.Height = 483 })
	if s := next(); s.Version != 8 || s.Chain.Height != 483 {
		t.Errorf("second event: version %d, height %d", s.Version, s.Chain.Height)
	}
	_, status, stop2 := stream(t, url)
	if status != http.StatusServiceUnavailable {
		t.Errorf("a stream over the limit: %d", status)
	}
	stop2()
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
	stop()
}

func TestListenStaysHome(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "192.0.2.1:80", "nonsense"} {
		if l, err := Listen(addr, false); err == nil {
			_ = l.Close()
			t.Errorf("%s was opened", addr)
		}
	}
	l, err := Listen("0.0.0.0:0", true)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

// A DA without a broker agrees on blocks and hears no device: it is healthy, and
// says so.
func TestHealthTellsOfBrokers(t *testing.T) {
	for _, c := range []struct {
		connected, all int
		told           bool
	}{{0, 2, true}, {1, 2, false}, {2, 2, false}, {0, 0, false}} {
		s := sample(0)
		s.Counters.BrokersConnected, s.Counters.Brokers = c.connected, c.all
		h := New(newFixed(s), Options{}).Handler()
		w := get(t, h, "/healthz")
		if w.Code != 200 || strings.Contains(w.Body.String(), "no MQTT broker") != c.told {
			t.Errorf("%d of %d: %d %s", c.connected, c.all, w.Code, w.Body)
		}
		for _, want := range []string{fmt.Sprintf("\nfairwatt_da_brokers %d\n", c.all), fmt.Sprintf("\nfairwatt_da_broker_connected %d\n", c.connected)} {
			if w := get(t, h, "/metrics"); !strings.Contains(w.Body.String(), want) {
				t.Errorf("%d of %d: the metrics lack %q", c.connected, c.all, want)
			}
		}
	}
}

// Why a data aggregator stands where it stands is an object of its own; of a stranger
// there is none.
func TestTreeWhy(t *testing.T) {
	h := New(newFixed(sample(1_790_000_000_000)), Options{}).Handler()
	w := get(t, h, "/api/v1/tree/why?da=da-1")
	var s ledger.Standing
	if err := json.Unmarshal(w.Body.Bytes(), &s); err != nil || w.Code != http.StatusOK || s.DA != "da-1" || s.TrustE4 != 4250 || s.Steps[0].Other != "da-2" {
		t.Errorf("%d %s %v", w.Code, w.Body, err)
	}
	for _, query := range []string{"", "?da=", "?da=da-9", "?da=%3Cscript%3E"} {
		if w := get(t, h, "/api/v1/tree/why"+query); w.Code != http.StatusNotFound || strings.Contains(w.Body.String(), "<") {
			t.Errorf("%q: %d %s", query, w.Code, w.Body)
		}
	}
}
