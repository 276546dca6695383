package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"fairwatt/aggregator/mc"
	"fairwatt/model/neighbours"
	"fairwatt/proto/brief"
	"fairwatt/proto/certfile"
	"fairwatt/proto/strictyaml"
)

// maxConfigBytes bounds a configuration file.
const maxConfigBytes = 1 << 20

// tlsFiles name a holder's certificate and whom it trusts.
type tlsFiles struct {
	CA   string `yaml:"ca"`
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

func (t *tlsFiles) resolve(dir string) {
	t.CA, t.Cert, t.Key = resolve(dir, t.CA), resolve(dir, t.Cert), resolve(dir, t.Key)
}

func (t *tlsFiles) validate() error {
	if t.CA == "" || t.Cert == "" || t.Key == "" {
		return errors.New("tls: ca, cert and key are required")
	}
	return nil
}

// read reads the files. The certificate is read again when it changes; the
// authorities to trust are not.
func (t *tlsFiles) read(log *slog.Logger) (*certfile.Pair, *x509.CertPool, error) {
	pair, err := certfile.Open(t.Cert, t.Key, mc.ReadPair, func(ends time.Time, err error) {
		if err != nil {
			log.Error("new certificate is not used", "file", t.Cert, "in_use_ends", ends, "err", err)
			return
		}
		log.Info("new certificate", "file", t.Cert, "ends", ends)
	})
	if err != nil {
		return nil, nil, err
	}
	pool, err := mc.ReadAuthorities(t.CA)
	return pair, pool, err
}

// peerTLS is for the links between aggregators, and to them.
func peerTLS(pair *certfile.Pair, pool *x509.CertPool) *tls.Config {
	c := mc.PeerTLS(tls.Certificate{}, pool)
	pair.Use(c)
	return c
}

// daConfig is da.yaml.
type daConfig struct {
	ID      string `yaml:"id"`
	Genesis string `yaml:"genesis"`
	SealKey string `yaml:"seal_key"`
	// NextSealKey is the key that the DA is to have: it signs with the one that the chain
	// names, and so goes on through a change of keys.
	NextSealKey string `yaml:"next_seal_key"`
	// Join says that the DA came to a running chain: the genesis does not name it.
	Join   bool     `yaml:"join"`
	Data   string   `yaml:"data"`
	TLS    tlsFiles `yaml:"tls"`
	Listen string   `yaml:"listen"`
	// MQTT are broker addresses, tcp:// or tls://. Servers that are one broker stand in one
	// entry, with commas between.
	MQTT         []string `yaml:"mqtt"`
	MQTTUsername string   `yaml:"mqtt_username"`
	// MQTTPasswordFile holds the password, for brokers without certificates.
	MQTTPasswordFile string `yaml:"mqtt_password_file"`
	// HTTP is where the page is; empty: nowhere.
	HTTP       string   `yaml:"http"`
	HTTPRemote bool     `yaml:"http_remote"`
	HTTPHosts  []string `yaml:"http_hosts"`
	LogLevel   string   `yaml:"log_level"`
	// RecordsPerS bounds what one device may send.
	RecordsPerS float64 `yaml:"records_per_s"`
	// StartWith says what a DA without a block begins with: a snapshot of the others
	// ("snapshot", also where it is empty), or all blocks since the genesis ("blocks").
	StartWith string `yaml:"start_with"`
	// SnapshotEveryS is how far the snapshots that it keeps are apart at least; 0: 600.
	SnapshotEveryS int `yaml:"snapshot_every_s"`
	// NowcastKM is how far an agent's nowcast is handed to others; 0: not at all.
	NowcastKM float64 `yaml:"nowcast_km"`
}

// What a DA begins with.
const (
	startSnapshot = "snapshot"
	startBlocks   = "blocks"
	maxSnapshotS  = 7 * 24 * 3600
)

// maxNowcastKM is from where no neighbour says anything of the weather here.
const maxNowcastKM = neighbours.ThunderKM

// newDAConfig is what a file starts from.
func newDAConfig() daConfig { return daConfig{NowcastKM: neighbours.RegionKM} }

func (c *daConfig) finish(dir string) error {
	c.Genesis, c.SealKey, c.Data = resolve(dir, c.Genesis), resolve(dir, c.SealKey), resolve(dir, c.Data)
	c.MQTTPasswordFile, c.NextSealKey = resolve(dir, c.MQTTPasswordFile), resolve(dir, c.NextSealKey)
	c.TLS.resolve(dir)
	for name, v := range map[string]string{"id": c.ID, "genesis": c.Genesis, "seal_key": c.SealKey, "data": c.Data, "listen": c.Listen} {
		if v == "" {
			return fmt.Errorf("%s: is required", name)
		}
	}
	if len(c.MQTT) == 0 {
		return errors.New("mqtt: name at least one broker")
	}
	if c.RecordsPerS < 0 {
		return fmt.Errorf("records_per_s: %v is negative", c.RecordsPerS)
	}
	if c.StartWith != "" && c.StartWith != startSnapshot && c.StartWith != startBlocks {
		return fmt.Errorf("start_with: %s; use %s or %s", brief.Quote(c.StartWith), startSnapshot, startBlocks)
	}
	if c.SnapshotEveryS < 0 || c.SnapshotEveryS > maxSnapshotS {
		return fmt.Errorf("snapshot_every_s: %d; use 1 to %d, or leave it out for 600", c.SnapshotEveryS, maxSnapshotS)
	}
	if !(c.NowcastKM >= 0 && c.NowcastKM <= maxNowcastKM) {
		return fmt.Errorf("nowcast_km: %v; use 0 to %g", c.NowcastKM, maxNowcastKM)
	}
	return c.TLS.validate()
}

// mcConfig is mc.yaml.
type mcConfig struct {
	ID       string   `yaml:"id"`
	Genesis  string   `yaml:"genesis"`
	SealKey  string   `yaml:"seal_key"`
	Counter  string   `yaml:"counter"`
	TLS      tlsFiles `yaml:"tls"`
	LogLevel string   `yaml:"log_level"`
	// Join says that the centre came to a running chain: the genesis does not name it.
	Join bool `yaml:"join"`
	// Simulated marks the centre's records.
	Simulated bool `yaml:"simulated"`
}

func (c *mcConfig) finish(dir string) error {
	c.Genesis, c.SealKey, c.Counter = resolve(dir, c.Genesis), resolve(dir, c.SealKey), resolve(dir, c.Counter)
	c.TLS.resolve(dir)
	for name, v := range map[string]string{"id": c.ID, "genesis": c.Genesis, "seal_key": c.SealKey, "counter": c.Counter} {
		if v == "" {
			return fmt.Errorf("%s: is required", name)
		}
	}
	return c.TLS.validate()
}

// resolve makes a path of a configuration relative to the configuration's own
// folder.
func resolve(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// readConfig reads a YAML file strictly: an unknown or repeated key is an error
// that names its line.
func readConfig(path string, into interface{ finish(dir string) error }) error {
	if path == "" {
		return usagef("--config FILE is required")
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	defer f.Close() // read only: nothing to lose
	if err := decodeConfig(io.LimitReader(f, maxConfigBytes+1), into); err != nil {
		return fmt.Errorf("configuration %s: %w", path, err)
	}
	if err := into.finish(filepath.Dir(path)); err != nil {
		return fmt.Errorf("configuration %s: %w", path, err)
	}
	return nil
}

func decodeConfig(r io.Reader, into any) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if len(b) > maxConfigBytes {
		return fmt.Errorf("more than %d bytes", maxConfigBytes)
	}
	return strictyaml.Decode(b, into)
}
