package grid

import (
	"bufio"
	"cmp"
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
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"fairwatt/aggregator/console"
	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/mc"
)

// play runs a grid to its end, or until during stops it, checks what must be
// true of every run, and returns its report. Its page's address comes once.
func play(t *testing.T, change func(*Config), during func(ctx context.Context, page <-chan string, stop func())) *Report {
	t.Helper()
	return playWith(t, change, during, nil)
}

// playWith is play, and tells who takes part once their agents run.
func playWith(t *testing.T, change func(*Config), during func(ctx context.Context, page <-chan string, stop func()), speak func([]*participant)) *Report {
	t.Helper()
	leaks := []goleak.Option{
		goleak.IgnoreCurrent(),
		goleak.IgnoreTopFunction("github.com/golang/glog.(*fileSink).flushDaemon"),
	}
	cfg := DefaultConfig()
	cfg.Agents, cfg.Data = 3, t.TempDir()
	change(&cfg)
	ctx, cancel := context.WithTimeout(t.Context(), cfg.For+4*time.Minute) // ends a run that hangs
	defer cancel()
	out := &output{page: make(chan string, 1)}
	if during != nil {
		go during(ctx, out.page, cancel)
	}
	log := slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelError}))
	r, page, err := run(ctx, cfg, Options{Software: "test", Logger: log, Out: out, speak: speak})
	if err != nil {
		t.Fatal(err)
	}
	http.DefaultClient.CloseIdleConnections()
	goleak.VerifyNone(t, leaks...)
	if r.ContactorViolations > 0 {
		t.Errorf("%d times a contactor was closed while its gate was not open", r.ContactorViolations)
	}
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

// output is what the grid tells people. It gives the page's address away.
type output struct {
	page chan string
	once sync.Once
}

var pageURL = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

// Write looks for the address in one call: the grid announces it in one line.
func (o *output) Write(p []byte) (int, error) {
	if url := pageURL.Find(p); url != nil {
		o.once.Do(func() { o.page <- string(url) })
	}
	return len(p), nil
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
	}, func(ctx context.Context, page <-chan string, stop func()) {
		defer stop()
		var l looked
		select {
		case url := <-page:
			l.snapshot, l.err = look(ctx, url, func(s *console.Snapshot) bool { return s.TradeCount["settled"] >= 3 && s.Chain.Epoch >= 2 })
			if l.err == nil {
				l.err = lookAround(ctx, url, &l.snapshot)
			}
		case <-ctx.Done():
			l.err = errors.New("no page in time")
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

// look follows the page's events until a snapshot shows enough.
func look(ctx context.Context, page string, enough func(*console.Snapshot) bool) (s console.Snapshot, err error) {
	body, err := get(ctx, page+"/api/v1/events")
	if err != nil {
		return s, err
	}
	defer body.Close()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		s = console.Snapshot{}
		if err := json.Unmarshal([]byte(data), &s); err != nil {
			return s, err
		}
		if enough(&s) {
			return s, nil
		}
	}
	return s, fmt.Errorf("the page's events ended at block %d, epoch %d, %v: %w", s.Chain.Height, s.Chain.Epoch, s.TradeCount,
		cmp.Or(lines.Err(), io.ErrUnexpectedEOF))
}

// lookAround asks the page for everything else that it shows.
func lookAround(ctx context.Context, page string, s *console.Snapshot) error {
	paths := map[string]string{"/api/v1/tree.svg": "<svg ", "/api/v1/blocks?limit=1": `"height"`}
	if len(s.Trades) == 0 {
		return errors.New("trades settled, but the page lists none")
	}
	id := s.Trades[0].ID
	paths["/api/v1/trades/"+id] = id
	for path, want := range paths {
		body, err := get(ctx, page+path)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(io.LimitReader(body, 1<<24))
		if err := errors.Join(err, body.Close()); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if !strings.Contains(string(text), want) {
			return fmt.Errorf("%s has no %s: %.200s", path, want, text)
		}
	}
	return nil
}

func get(ctx context.Context, url string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("%s: %s", url, resp.Status), resp.Body.Close())
	}
	return resp.Body, nil
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
	r := play(t, func(c *Config) { c.For, c.Misbehave = 30*time.Second, []string{DropBlocks} }, nil)
	if r.Relay.Pulled == 0 || r.Trades.Settled < 5 {
		t.Errorf("%d blocks pulled, %d trades settled", r.Relay.Pulled, r.Trades.Settled)
	}
	// Reports of the honest find it out; trust of nobody else suffers.
	if dropper := "da-2"; !slices.Equal(r.FoundOut, []string{dropper}) || r.Trust[dropper] >= 8000 || len(r.Trust) != 4 {
		t.Errorf("found out %v, trust %v", r.FoundOut, r.Trust)
	}
	for da, trust := range r.Trust {
		if da != "da-2" && trust < 8000 {
			t.Errorf("trust of %s fell to %d", da, trust)
		}
	}
}

func TestWholeSystemBrokerAwayAndStranger(t *testing.T) {
	long(t)
	r := play(t, func(c *Config) { c.For, c.Misbehave = 30*time.Second, []string{BrokerOutage, ForgedRecords} }, nil)
	if r.Forged == 0 || r.Trades.Settled < 5 {
		t.Errorf("%d forged submissions refused, %d trades settled", r.Forged, r.Trades.Settled)
	}
}

// Traders that lie, beside honest ones: with robust credit and judges none of them gains
// anything, and no honest participant loses anything. With the paper's credit an invented
// register costs buyers what they paid.
func TestWholeSystemCulprits(t *testing.T) {
	long(t)
	for credit, harmless := range map[string]bool{ledger.CreditRobust: true, ledger.CreditPaper: false} {
		r := play(t, func(c *Config) {
			c.For, c.Misbehave, c.Set = 90*time.Second, []string{Traders}, []string{"credit=" + credit}
		}, nil)
		t.Logf("\n%s", r.Market())
		if len(r.Culprits) != len(crimes) || r.Credit != credit {
			t.Fatalf("%s: %+v", credit, r.Culprits)
		}
		for i, c := range r.Culprits {
			if c.Trades == 0 && !crimes[i].maySucceedNot {
				t.Errorf("%s: %s never traded", credit, c.Kind)
			}
			if c.GainMicro > 0 && (harmless || c.Kind != HidingBuyer) || harmless && (c.LossMicro > 0 || c.BrokenHonest > 0) || c.Open > 0 {
				t.Errorf("%s: %+v", credit, c)
			}
			if c.Kind == Tamper && !harmless && c.LossMicro <= 0 {
				t.Errorf("%s: an invented register harms no one: %+v", credit, c)
			}
		}
		for _, h := range r.Honest {
			if harmless && (h.LossMicro > 0 || h.Barred) {
				t.Errorf("%s: %+v", credit, h)
			}
		}
	}
}

// Where everyone keeps the rules nobody breaks a promise, whatever the weather does, no
// Token is bought for nothing, and hardly a payment is refused.
func TestWholeSystemHonest(t *testing.T) {
	long(t)
	for _, agents := range []int{6, 30} {
		r := play(t, func(c *Config) { c.For, c.Agents = 60*time.Second, agents }, nil)
		t.Logf("\n%s", r.Market())
		if r.Trades.Settled < 20 || r.Trades.Disputed > 0 || r.Payments.UnusedTokens > 0 || len(r.Broken) > 0 || r.Payments.Refused*50 > r.Payments.Sent {
			t.Errorf("%d sellers: %+v, %+v, broken %+v", agents, r.Trades, r.Payments, r.Broken)
		}
		for _, h := range r.Honest {
			if h.LossMicro > 0 || h.Fined > 0 || h.Barred {
				t.Errorf("%d sellers: %+v", agents, h)
			}
		}
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
