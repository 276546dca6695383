package console

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ports "fairwatt/proto/loopback"
)

// A real Prometheus scrapes a console with the shipped configuration and rules: only
// addresses and intervals are changed. Then a query has what the rules record.
func TestPrometheusScrapes(t *testing.T) {
	program, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("prometheus is not installed (Debian's package prometheus): the scrape is left out")
	}
	snap := sample(time.Now().UnixMilli())
	src := newFixed(snap)
	src.measures = NewMeasures()
	page := httptest.NewServer(New(src, Options{}).Handler())
	defer page.Close()
	shipped := filepath.Join("..", "..", "configs", "prometheus")
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(shipped, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	config := read("prometheus.yml")
	from, to := strings.Index(config, `["127.0.0.1:`), strings.LastIndex(config, "]")
	if from < 0 || to < from || !strings.Contains(config, "scrape_interval: 15s") {
		t.Fatalf("the shipped configuration: %s", config)
	}
	config = config[:from] + fmt.Sprintf("[%q]", strings.TrimPrefix(page.URL, "http://")) + config[to+1:]
	config = "global: {evaluation_interval: 1s}\n" + strings.Replace(config, "scrape_interval: 15s", "scrape_interval: 1s", 1)
	dir := t.TempDir()
	for name, content := range map[string]string{"prometheus.yml": config, "fairwatt-rules.yaml": read("fairwatt-rules.yaml")} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	address, err := ports.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	cmd := exec.CommandContext(ctx, program, "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	var log strings.Builder
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		stop()
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			t.Log(log.String())
		}
	}()
	open := 0
	for _, g := range snap.Generators {
		if g.State == "OPEN" {
			open++
		}
	}
	want := map[string]string{
		"fairwatt:gates_open:ratio":              fmt.Sprint(float64(open) / float64(len(snap.Generators))),
		"fairwatt_da_height":                     fmt.Sprint(snap.Chain.Height),
		`count(ALERTS) >= 0 or vector(0)`:        "",
		`fairwatt_da_block_commit_seconds_count`: "0",
	}
	for query, value := range want {
		for {
			got, ok := queried(ctx, address, query)
			if ok && (value == "" || got == value) {
				break
			}
			select { // nothing tells when a scrape has come
			case <-time.After(200 * time.Millisecond):
			case <-ctx.Done():
				t.Fatalf("%s: %q, want %q", query, got, value)
			}
		}
	}
}

// queried asks for the value of an expression.
func queried(ctx context.Context, address, query string) (string, bool) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/api/v1/query?query="+url.QueryEscape(query), nil)
	if err != nil {
		return err.Error(), false
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err.Error(), false // it has not started yet
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return err.Error(), false
	}
	var v struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	if err := json.Unmarshal(body, &v); err != nil || len(v.Data.Result) == 0 {
		return string(body), false
	}
	return fmt.Sprint(v.Data.Result[0].Value[1]), true
}
