package grid

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"fairwatt/aggregator/console"
	"fairwatt/aggregator/mc"
)

// play runs a grid to its end, or until during stops it, checks what must be true of every run, and
// returns its report.
func play(t *testing.T, change func(*Config), during func(out *output, stop func())) *Report {
	t.Helper()
	leaks := []goleak.Option{
		goleak.IgnoreCurrent(),
		goleak.IgnoreTopFunction("github.com/golang/glog.(*fileSink).flushDaemon"),
	}
	cfg := DefaultConfig()
	cfg.Agents, cfg.Data = 3, t.TempDir()
	change(&cfg)
	ctx, cancel := context.WithTimeout(t.Context(), cfg.For+time.Minute)
	defer cancel()
	out := new(output)
	if during != nil {
		go during(out, cancel)
	}
	log := slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelError}))
	r, page, err := run(ctx, cfg, Options{Software: "test", Logger: log, Out: out})
	if err != nil {
		t.Fatal(err)
	}
	http.DefaultClient.CloseIdleConnections()
	goleak.VerifyNone(t, leaks...)
	if !r.MoneyConserved || !r.EnergyConserved || !r.ChainVerified || len(r.Problems) > 0 {
		t.Errorf("money %v, energy %v, chain %v: %q", r.MoneyConserved, r.EnergyConserved, r.ChainVerified, r.Problems)
	}
	if r.Dropped != 0 || r.Unanswered != 0 {
		t.Errorf("%d messages dropped, %d records unanswered", r.Dropped, r.Unanswered)
	}
	comparePage(t, r, page)
	// Each data aggregator's folder can be verified by itself: its chain has the
	// genesis next to it.
	for i := range r.DAs {
		dir := filepath.Join(cfg.Data, fmt.Sprint("da-", i+1))
		if _, err := mc.ReadGenesis(filepath.Join(dir, mc.GenesisFile)); err != nil {
			t.Errorf("genesis in %s: %v", dir, err)
		}
	}
	return r
}

// comparePage holds what the page showed last against the report, which was
// read from the chains.
func comparePage(t *testing.T, r *Report, page *console.Snapshot) {
	t.Helper()
	if page.Chain.Height != r.Height || page.Chain.Records != r.Records {
		t.Errorf("page: block %d, %d records; report: block %d, %d records", page.Chain.Height, page.Chain.Records, r.Height, r.Records)
	}
	if len(page.Generators) != r.Agents {
		t.Errorf("%d generators on the page, %d in the grid", len(page.Generators), r.Agents)
	}
	open := 0
	for status, n := range page.TradeCount {
		switch status {
		case "settled", "settled_partly", "refunded", "disputed", "failed":
		default:
			open += n
		}
	}
	for _, c := range []struct {
		what         string
		page, report int
	}{
		{"settled", page.TradeCount["settled"], r.Trades.Settled},
		{"settled_partly", page.TradeCount["settled_partly"], r.Trades.SettledPartly},
		{"refunded", page.TradeCount["refunded"], r.Trades.Refunded},
		{"disputed", page.TradeCount["disputed"], r.Trades.Disputed},
		{"failed", page.TradeCount["failed"], r.Trades.Failed},
		{"open", open, r.Trades.Open},
	} {
		if c.page != c.report {
			t.Errorf("%s trades: %d on the page, %d in the report", c.what, c.page, c.report)
		}
	}
}

// testLog writes log lines to the test's log.
type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// output keeps what the grid tells people.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

var pageURL = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

func (o *output) page() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return pageURL.FindString(o.text.String())
}

// The whole system until some trades have settled, as the page shows them:
// nothing is lost, the page shows the same as the report, and everything ends.
func TestWholeSystem(t *testing.T) {
	type looked struct {
		snapshot console.Snapshot
		err      error
	}
	seen := make(chan looked, 1)
	r := play(t, func(c *Config) {
		c.For, c.Buyers, c.Links, c.HTTP, c.MQTT = 0, 2, "memory", "127.0.0.1:0", "127.0.0.1:0"
	}, func(out *output, stop func()) {
		defer stop()
		l := looked{err: errors.New("no block in time")}
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for range 550 { // on a busy machine it takes its time
			<-tick.C
			if url := out.page(); url != "" {
				if l.snapshot, l.err = look(url); l.err == nil && l.snapshot.TradeCount["settled"] >= 3 && l.snapshot.Chain.Epoch >= 2 {
					break
				}
			}
		}
		seen <- l
	})
	if r.Trades.Settled < 3 {
		t.Errorf("%d trades settled, want 3 or more", r.Trades.Settled)
	}
	if r.Relay.Forwarded == 0 || r.Epochs < 2 || r.ATCTMs.N == 0 || r.GateClosedS == 0 {
		t.Errorf("forwarded %d, epochs %d, confirmed %d, gates closed %d s: want all above 0", r.Relay.Forwarded, r.Epochs, r.ATCTMs.N, r.GateClosedS)
	}
	if !r.Simulated {
		t.Error("the report does not say that all is simulated")
	}
	l := <-seen
	if l.err != nil {
		t.Fatalf("the page: %v", l.err)
	}
	if s := l.snapshot; s.Chain.Height == 0 || s.Chain.Height > r.Height {
		t.Errorf("in the middle the page shows block %d of %d", s.Chain.Height, r.Height)
	}
}

// look reads the page's snapshot.
func look(page string) (s console.Snapshot, err error) {
	resp, err := http.Get(page + "/api/v1/snapshot")
	if err != nil {
		return s, err
	}
	defer resp.Body.Close()
	return s, json.NewDecoder(io.LimitReader(resp.Body, 1<<24)).Decode(&s)
}

// long skips a test that takes a minute, unless it is asked for.
func long(t *testing.T) {
	t.Helper()
	if os.Getenv("FAIRWATT_LONG") == "" {
		t.Skip("takes about half a minute: set FAIRWATT_LONG=1")
	}
}

func TestWholeSystemRootKilled(t *testing.T) {
	long(t)
	r := play(t, func(c *Config) { c.For, c.KillRootAfter = 25*time.Second, 8*time.Second }, nil)
	if r.ViewChanges == 0 || r.ViewChangeMs == 0 || r.ViewChangeMs > 3000 {
		t.Errorf("%d view changes, the first block after %d ms", r.ViewChanges, r.ViewChangeMs)
	}
	if r.Trades.Settled < 5 || len(r.AccountingNodes) < 2 {
		t.Errorf("%d trades settled, accounting nodes %v", r.Trades.Settled, r.AccountingNodes)
	}
}

func TestWholeSystemForwarderDropsBlocks(t *testing.T) {
	long(t)
	r := play(t, func(c *Config) { c.For, c.Misbehave = 20*time.Second, []string{DropBlocks} }, nil)
	if r.Relay.Pulled == 0 || r.Trades.Settled < 5 {
		t.Errorf("%d blocks pulled, %d trades settled", r.Relay.Pulled, r.Trades.Settled)
	}
}

func TestWholeSystemBrokerAwayAndStranger(t *testing.T) {
	long(t)
	r := play(t, func(c *Config) { c.For, c.Misbehave = 30*time.Second, []string{BrokerOutage, ForgedRecords} }, nil)
	if r.Forged == 0 || r.Trades.Settled < 5 {
		t.Errorf("%d forged submissions refused, %d trades settled", r.Forged, r.Trades.Settled)
	}
}

// Drawn overheads, which links in memory take, and both trees.
func TestWholeSystemBothTrees(t *testing.T) {
	long(t)
	for _, tree := range []string{"oct", "wct"} {
		r := play(t, func(c *Config) { c.For, c.DAs, c.Links, c.Tree = 20*time.Second, 10, "memory", tree }, nil)
		if r.Trades.Settled < 5 || r.Relay.Forwarded == 0 || r.Tree != tree {
			t.Errorf("%s: %d trades settled, %d blocks forwarded, tree %q", tree, r.Trades.Settled, r.Relay.Forwarded, r.Tree)
		}
	}
}

// Seven data aggregators, so that the tree has more than one forwarder.
func TestWholeSystemSevenAggregators(t *testing.T) {
	long(t)
	r := play(t, func(c *Config) { c.For, c.DAs = 20*time.Second, 7 }, nil)
	if r.Trades.Settled < 5 || r.Relay.Forwarded == 0 {
		t.Errorf("%d trades settled, %d blocks forwarded", r.Trades.Settled, r.Relay.Forwarded)
	}
}
