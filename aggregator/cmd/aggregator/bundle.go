package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fairwatt/proto/brief"
)

// Bounds of a bundle, so that it can be sent by mail.
const (
	maxBundleEntry = 4 << 20 // bytes of one file in it
	bundleLines    = 2000    // of a log, the newest
	bundleWait     = 5 * time.Second
)

func bundleCommand() *cobra.Command {
	var config, out, logFile, unit string
	cmd := &cobra.Command{
		Use:   "bundle --config FILE",
		Short: "Pack what a helper needs to know, without secrets",
		Long: `Pack what a helper needs to know into one .tar.gz: version, configuration,
dates of the certificates, sizes of the files in the data folder, the newest log
lines, and health, metrics and snapshot of the program if it runs.

The file may be da.yaml, mc.yaml or an agent's. Passwords, tokens and private keys
are left out, and struck from whatever else names them. Comments of the
configuration are left out too. Look into the bundle before you send it: it names
sites, devices and brokers.`,
		Example: `  aggregator bundle --config community/da-1/da.yaml
  aggregator bundle --config /etc/fairwatt/agent.yaml --unit fairwatt-agent`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if config == "" {
				return usagef("--config FILE is required")
			}
			b, err := newBundle(config)
			if err != nil {
				return err
			}
			b.collect(cmd.Context(), logFile, unit)
			if out == "" {
				out = "fairwatt-" + b.id() + "-" + time.Now().UTC().Format("20060102T150405Z") + ".tar.gz"
			}
			if err := b.write(out); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %d files, %d secrets struck\n", out, len(b.files), len(b.secrets))
			return nil
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "configuration file (YAML)")
	cmd.Flags().StringVar(&out, "out", "", "file to make; it must not exist (default fairwatt-ID-TIME.tar.gz)")
	cmd.Flags().StringVar(&logFile, "log", "", "file that holds the log (default: systemd's journal of --unit)")
	cmd.Flags().StringVar(&unit, "unit", "", "systemd unit whose journal is read (default fairwatt-da@ID)")
	return cmd
}

// A bundle is what is packed, by file name.
type bundle struct {
	dir     string // of the configuration
	config  any    // as it was read
	secrets []string
	files   map[string][]byte
}

// newBundle reads a configuration and finds its secrets. One that cannot be read
// is an error: nobody could say what is secret.
func newBundle(path string) (*bundle, error) {
	raw, err := readSmall(path, maxConfigBytes)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	b := &bundle{dir: filepath.Dir(path), files: make(map[string][]byte)}
	if b.config, err = parseAny(raw); err != nil {
		return nil, fmt.Errorf("configuration %s: %w", path, err)
	}
	if err := b.findSecrets(raw); err != nil {
		return nil, err
	}
	if b.files["config.yaml"], err = struckYAML(b.config); err != nil {
		return nil, fmt.Errorf("configuration %s: %w", path, err)
	}
	return b, nil
}

// readSmall reads a whole file of bounded size.
func readSmall(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // read only: nothing to lose
	raw, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(raw)) > most {
		err = fmt.Errorf("%s: more than %d bytes", path, most)
	}
	return raw, err
}

// id names the bundle after the program: what a file name may hold of it.
func (b *bundle) id() string {
	id := b.text("id")
	if id == "" {
		id = b.text("device")
	}
	id = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return -1
	}, id)
	if id == "" || len(id) > 64 {
		return "program"
	}
	return id
}

// text is a setting of the configuration; empty if there is none.
func (b *bundle) text(keys ...string) string {
	s, _ := at(b.config, keys...).(string)
	return s
}

// path is a setting that names a file; empty if there is none.
func (b *bundle) path(keys ...string) string { return resolve(b.dir, b.text(keys...)) }

// collect gathers all that can be had; what cannot says why in its place.
func (b *bundle) collect(ctx context.Context, logFile, unit string) {
	put := func(name string, content []byte, err error) {
		if err != nil {
			content = fmt.Appendf(content, "not here: %v\n", err)
		}
		b.files[name] = content
	}
	version, err := json.MarshalIndent(readBuild(), "", " ")
	put("version.json", version, err)
	certificates, err := b.certificates()
	put("certificates.txt", certificates, err)
	folder, err := b.folder()
	put("data.txt", folder, err)
	if unit == "" {
		unit = "fairwatt-da@" + b.id()
		if b.text("device") != "" {
			unit = "fairwatt-agent"
		} else if b.text("http") == "" && b.text("counter") != "" {
			unit = "fairwatt-mc@" + b.id()
		}
	}
	lines, err := newestLines(ctx, logFile, unit)
	put("log.txt", lines, err)
	if file := b.path("metrics_file"); file != "" {
		metrics, err := readSmall(file, maxBundleEntry)
		put("metrics.txt", metrics, err)
	}
	if address := b.text("http"); address != "" {
		for name, path := range map[string]string{"healthz.txt": "/healthz", "metrics.txt": "/metrics", "snapshot.json": "/api/v1/snapshot"} {
			answer, err := ask(ctx, "http://"+address+path)
			put(name, answer, err)
		}
	}
	put("README.txt", fmt.Appendf(nil, "Made by aggregator bundle at %s. Passwords, tokens and private keys are struck (%s).\n",
		time.Now().UTC().Format(time.RFC3339), struck), nil)
}

// certificates tells the dates of the certificates that the configuration names.
func (b *bundle) certificates() ([]byte, error) {
	var out []byte
	var errs []error
	for _, key := range []string{"ca", "cert"} {
		path := b.path("tls", key)
		if path == "" {
			continue
		}
		raw, err := readSmall(path, maxConfigBytes)
		if err != nil {
			errs = append(errs, fmt.Errorf("tls.%s: %w", key, err))
			continue
		}
		for block, rest := pem.Decode(raw); block != nil; block, rest = pem.Decode(rest) {
			if block.Type != "CERTIFICATE" {
				continue // a key in the same file stays there
			}
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				errs = append(errs, fmt.Errorf("tls.%s: %w", key, err))
				continue
			}
			out = fmt.Appendf(out, "tls.%s %s serial %x from %s to %s\n", key, brief.Text(c.Subject.String()), c.SerialNumber,
				c.NotBefore.UTC().Format(time.RFC3339), c.NotAfter.UTC().Format(time.RFC3339))
		}
	}
	return out, errors.Join(errs...)
}

// maxListed bounds the files of a data folder that are listed.
const maxListed = 1000

// folder lists the data folder: names, sizes and times. Nothing is read.
func (b *bundle) folder() ([]byte, error) {
	dir := b.path("data")
	if dir == "" {
		return nil, errors.New("the configuration names no data folder")
	}
	var out []byte
	n := 0
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		if n++; n > maxListed {
			return fs.SkipAll
		}
		inside, err := filepath.Rel(dir, path)
		out = fmt.Appendf(out, "%12d %s %s %q\n", info.Size(), info.ModTime().UTC().Format(time.RFC3339), info.Mode(), inside)
		return err
	})
	return out, err
}

// newestLines are the end of a log: of a file, or of a unit's journal.
func newestLines(ctx context.Context, file, unit string) ([]byte, error) {
	var raw []byte
	var err error
	if file != "" {
		raw, err = readEnd(file, maxBundleEntry)
	} else {
		ctx, cancel := context.WithTimeout(ctx, bundleWait)
		defer cancel()
		cmd := exec.CommandContext(ctx, "journalctl", "--no-pager", "--lines", fmt.Sprint(bundleLines), "--output", "short-iso-precise", "--unit", unit)
		if raw, err = cmd.Output(); err != nil {
			err = fmt.Errorf("journal of %s: %w; name a file with --log", brief.Text(unit), err)
		}
		raw = lastLines(raw, maxBundleEntry)
	}
	lines := bytes.SplitAfter(raw, []byte("\n"))
	return slices.Concat(lines[max(0, len(lines)-bundleLines-1):]...), err
}

// readEnd reads the last bytes of a file, from the beginning of a line on.
func readEnd(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // read only: nothing to lose
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.NewSectionReader(f, max(0, info.Size()-most-1), most+1))
	return lastLines(raw, int(most)), err
}

// lastLines are the last lines of a text that fit into so many bytes. Half a line is
// left out: it could hide half a secret.
func lastLines(text []byte, most int) []byte {
	if len(text) <= most {
		return text
	}
	_, text, _ = bytes.Cut(text[len(text)-most-1:], []byte("\n"))
	return text
}

// ask is one answer of the running program.
func ask(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, bundleWait)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close() // read only: nothing to lose
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxBundleEntry))
	return body, err
}

// write strikes the secrets from all files and makes the archive. Only its owner may
// read it.
func (b *bundle) write(path string) (err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("make bundle: %w", err)
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(fmt.Errorf("make bundle: %w", err), os.Remove(path))
		}
	}()
	z := gzip.NewWriter(f)
	t := tar.NewWriter(z)
	now := time.Now()
	for _, name := range slices.Sorted(maps.Keys(b.files)) {
		content := b.strike(b.files[name])
		if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(content)), ModTime: now}); err != nil {
			return err
		}
		if _, err := t.Write(content); err != nil {
			return err
		}
	}
	return errors.Join(t.Close(), z.Close())
}
