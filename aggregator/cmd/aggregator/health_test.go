package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Health ends with 0 only if the page says that all is well, and says why not.
func TestHealth(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "c")
	command(t, "mc", "init", "--dir", dir)
	config := filepath.Join(dir, "da-1", "da.yaml")
	status := http.StatusOK
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte("does not vote\n"))
	}))
	_, port, _ := strings.Cut(strings.TrimPrefix(page.URL, "http://"), ":")
	rewrite(t, config, "http: 127.0.0.1:8080", "http: 0.0.0.0:"+port+"\nhttp_remote: true")
	ask := func() (int, string) {
		var out, errOut bytes.Buffer
		code := run(t.Context(), []string{"da", "health", "--config", config}, nil, &out, &errOut)
		return code, out.String() + errOut.String()
	}
	if code, said := ask(); code != 0 || said != "does not vote\n" {
		t.Errorf("well: %d, %q", code, said)
	}
	status = http.StatusServiceUnavailable
	if code, said := ask(); code != 1 || !strings.Contains(said, "da-1: not well: 503") || !strings.Contains(said, "does not vote") {
		t.Errorf("not well: %d, %q", code, said)
	}
	page.Close()
	if code, said := ask(); code != 1 || !strings.Contains(said, "refused") {
		t.Errorf("not there: %d, %q", code, said)
	}
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, bytes.Replace(text, []byte("http: 0.0.0.0:"+port+"\nhttp_remote: true"), nil, 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, said := ask(); code == 0 || !strings.Contains(said, "sets no http") {
		t.Errorf("without a page: %d, %q", code, said)
	}
}

func TestLocalAddress(t *testing.T) {
	for listen, want := range map[string]string{
		"127.0.0.1:8080": "127.0.0.1:8080", "0.0.0.0:8080": "127.0.0.1:8080", ":8080": "127.0.0.1:8080",
		"[::]:8080": "[::1]:8080", "[::1]:8080": "[::1]:8080", "10.0.0.7:80": "10.0.0.7:80", "da-1:80": "da-1:80",
	} {
		if got, err := localAddress(listen); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", listen, got, err, want)
		}
	}
	if _, err := localAddress("8080"); err == nil {
		t.Error("an address without a host is taken")
	}
}
