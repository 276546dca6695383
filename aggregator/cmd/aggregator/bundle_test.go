package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"pgregory.net/rapid"
)

// unpack reads a bundle.
func unpack(t rapid.TB, path string) map[string]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]string)
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		out[h.Name] = string(content)
	}
}

// A bundle of a data aggregator as the centre makes it says how it is, and holds no key,
// no password and nothing that only looks like one.
func TestBundle(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "community")
	if code := run(t.Context(), []string{"mc", "init", "--dir", dir}, nil, io.Discard, os.Stderr); code != 0 {
		t.Fatalf("mc init: %d", code)
	}
	da := filepath.Join(dir, "da-1")
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "answer of %s, hunter2 and tcp://me:pass word@broker\n", r.URL.Path)
	}))
	defer page.Close()
	put := func(name, content string) string {
		path := filepath.Join(da, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	config, err := os.ReadFile(filepath.Join(da, "da.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(config), "mqtt:", "mqtt_username: da-1\nmqtt_password_file: broker.password\nmqtt:", 1)
	var lines []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "http:") {
			lines = append(lines, line)
		}
	}
	put("da.yaml", strings.Join(lines, "")+"http: "+strings.TrimPrefix(page.URL, "http://")+"\n# old password: xyzzy\n")
	put("broker.password", "hunter2\n")
	put("data/chain.db", strings.Repeat("x", 1234))
	log := put("log", strings.Repeat("early\n", bundleLines)+"level=WARN msg=\"login with hunter2, then xyzzy\" token=abc123 password_file=broker.password\n"+
		"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIK\n-----END PRIVATE KEY-----\nlast\n")
	out := filepath.Join(t.TempDir(), "b.tar.gz")
	var stdout, stderr bytes.Buffer
	args := []string{"bundle", "--config", filepath.Join(da, "da.yaml"), "--log", log, "--out", out}
	if code := run(t.Context(), args, nil, &stdout, &stderr); code != 0 {
		t.Fatalf("%d: %s", code, stderr.String())
	}
	if info, err := os.Stat(out); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	files := unpack(t, out)
	for name, want := range map[string]string{
		"config.yaml": "mqtt_password_file: broker.password", "version.json": `"version"`, "certificates.txt": "tls.cert CN=da-1",
		"data.txt": "chain.db", "log.txt": "\nlast\n", "healthz.txt": "answer of /healthz, ##### and tcp://#####@broker", "metrics.txt": "answer of /metrics",
		"snapshot.json": "answer of /api/v1/snapshot", "README.txt": "struck",
	} {
		if !strings.Contains(files[name], want) {
			t.Errorf("%s lacks %q:\n%s", name, want, files[name])
		}
	}
	if len(files) != 9 || !strings.Contains(files["log.txt"], "password_file=broker.password") || strings.Count(files["log.txt"], "early") != bundleLines-5 {
		t.Errorf("%d files; log of %d lines", len(files), strings.Count(files["log.txt"], "\n"))
	}
	secrets := []string{"hunter2", "xyzzy", "abc123", "PRIVATE", "MC4CAQAwBQYDK2VwBCIEIK", "pass word"}
	err = filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err == nil && bytes.Contains(b, []byte("PRIVATE KEY")) && path != log {
			for line := range strings.Lines(string(b)) {
				if !strings.HasPrefix(line, "-----") {
					secrets = append(secrets, strings.TrimSpace(line))
				}
			}
		}
		return err
	})
	if err != nil || len(secrets) < 8 {
		t.Fatal(err, len(secrets))
	}
	for name, content := range files {
		for _, secret := range secrets {
			if strings.Contains(content, secret) {
				t.Errorf("%s holds %q", name, secret)
			}
		}
	}
	if code := run(t.Context(), args, nil, &stdout, &stderr); code != 1 || !strings.Contains(stderr.String(), "file exists") {
		t.Errorf("over one that is there: %d, %s", code, stderr.String())
	}
}

// A configuration that cannot be read, or a secret that cannot, gives no bundle: nobody
// could say what is secret.
func TestBundleRefuses(t *testing.T) {
	dir := t.TempDir()
	big := filepath.Join(dir, "big")
	if err := os.WriteFile(big, make([]byte, maxSecretFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for content, want := range map[string]string{"a: \"b": "configuration", "seal_key: big\n": "read secret", "": ""} {
		path := filepath.Join(dir, "c.yaml")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		out := filepath.Join(t.TempDir(), "out.tar.gz")
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), []string{"bundle", "--config", path, "--out", out, "--log", big}, nil, &stdout, &stderr)
		if (code == 0) != (want == "") || !strings.Contains(stderr.String(), want) {
			t.Errorf("%q: %d, %s", content, code, stderr.String())
		}
		if _, err := os.Stat(out); os.IsNotExist(err) != (want != "") {
			t.Errorf("%q: %v", content, err)
		}
	}
	if code := run(t.Context(), []string{"bundle"}, nil, io.Discard, io.Discard); code != 2 {
		t.Errorf("without a configuration: %d", code)
	}
}

// No secret of a drawn configuration stands anywhere in its bundle, wherever else it was
// written: in comments, in other settings, in the log, in JSON or in a URL.
func TestBundleHoldsNoSecret(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "bundle")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		write := func(name, content string) {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		// Long enough to stand in nothing by chance.
		secret := rapid.StringMatching(`[a-zA-Z0-9"'<>&%+/:@\\ ü{}\[\],*!?|~^$-]{3,20}[A-Z0-9]{7}`)
		var all []string
		draw := func(what string) string {
			s := strings.TrimSpace(secret.Draw(t, what))
			all = append(all, s)
			return s
		}
		var logged strings.Builder
		config := yaml.MapSlice{{Key: "id", Value: "da-1"}}
		for i, key := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{
			"password", "mqtt_password", "token", "api_token", "secret", "key", "passphrase", "seal_key", "password_file", "Password",
		}), 1, 6, rapid.ID[string]).Draw(t, "keys") {
			s := draw(key)
			if strings.HasSuffix(key, "file") || rapid.Bool().Draw(t, "in a file") {
				name := fmt.Sprintf("f%d", i)
				write(name, s+"\n")
				config = append(config, yaml.MapItem{Key: key, Value: name})
			} else {
				config = append(config, yaml.MapItem{Key: key, Value: s})
			}
			fmt.Fprintf(&logged, "said %s and %q\n", s, s)
		}
		if rapid.Bool().Draw(t, "nested") {
			config = append(config, yaml.MapItem{Key: "broker", Value: yaml.MapSlice{{Key: "users", Value: []any{yaml.MapSlice{{Key: "password", Value: draw("nested")}}}}}})
		}
		config = append(config, yaml.MapItem{Key: "note", Value: "as before: " + all[0]})
		raw, err := yaml.Marshal(config)
		if err != nil {
			t.Fatal(err)
		}
		var again yaml.MapSlice
		if err := yaml.UnmarshalWithOptions(raw, &again, yaml.UseOrderedMap()); err != nil || fmt.Sprint(again) != fmt.Sprint(config) {
			t.Skipf("the library cannot read what it wrote: %v", err)
		}
		write("c.yaml", string(raw))
		for _, s := range all {
			fmt.Fprintf(&logged, "{\"why\":%s}\n", jsonOf(s))
		}
		write("log", logged.String())
		b, err := newBundle(filepath.Join(dir, "c.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		b.collect(context.Background(), filepath.Join(dir, "log"), "")
		out := filepath.Join(dir, "b.tar.gz")
		if err := b.write(out); err != nil {
			t.Fatal(err)
		}
		files := unpack(t, out)
		if !strings.Contains(files["log.txt"], struck) || !strings.Contains(files["config.yaml"], "id: da-1") {
			t.Fatalf("%v", files)
		}
		for name, content := range files {
			for _, s := range all {
				quoted, encoded := strconv.Quote(s), jsonOf(s)
				for _, form := range []string{s, quoted[1 : len(quoted)-1], encoded[1 : len(encoded)-1]} {
					if strings.Contains(content, form) {
						t.Fatalf("%s holds %s:\n%s", name, form, content)
					}
				}
			}
		}
	})
}

func jsonOf(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return strings.TrimSpace(string(b))
}

// The end of a log begins with a line: half of one could hide half a secret.
func TestLastLines(t *testing.T) {
	for _, c := range []struct {
		text string
		most int
		want string
	}{
		{"one\ntwo\n", 8, "one\ntwo\n"},
		{"one\ntwo\n", 7, "two\n"},
		{"one\ntwo\n", 4, "two\n"},
		{"one\ntwo\n", 3, ""},
		{"password", 4, ""},
	} {
		if got := string(lastLines([]byte(c.text), c.most)); got != c.want {
			t.Errorf("%q in %d bytes: %q, want %q", c.text, c.most, got, c.want)
		}
	}
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte("one\ntwo\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for most, want := range map[int64]string{3: "", 4: "two\n", 7: "two\n", 8: "one\ntwo\n", 100: "one\ntwo\n"} {
		if got, err := readEnd(path, most); err != nil || string(got) != want {
			t.Errorf("%d bytes: %q, %v, want %q", most, got, err, want)
		}
	}
}
