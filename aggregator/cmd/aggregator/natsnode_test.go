package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fairwatt/aggregator/mc"
	"fairwatt/proto/mqtt"
)

// natsPatience bounds waits for processes, on a machine that is loaded.
const natsPatience = 90 * time.Second

// natsServer builds nats-server from the module that tools/go.mod names, or takes the
// program that FAIRWATT_NATS_SERVER names.
func natsServer(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("FAIRWATT_NATS_SERVER"); path != "" {
		return path
	}
	path := filepath.Join(t.TempDir(), "nats-server")
	cmd := exec.Command("go", "build", "-o", path, "github.com/nats-io/nats-server/v2")
	cmd.Dir = "../../../tools"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("nats-server cannot be built here, a cluster is not tried: %v: %s", err, out)
	}
	return path
}

// A node is one of three servers, a process.
type node struct {
	t            *testing.T
	program, dir string
	name, mqtt   string // mqtt is its URL
	plain, route string
	watch        string
	mu           sync.Mutex
	log          bytes.Buffer
	cmd          *exec.Cmd
	ended        chan struct{}
	startedFor   int
}

// natsCluster gives the servers of a community ports from port on, tells the aggregators,
// and starts the three.
func natsCluster(t *testing.T, program, dir string, port int) []*node {
	t.Helper()
	local := regexp.MustCompile(`127\.0\.0\.1:(\d+)`)
	moved := func(s string) string {
		n, _ := strconv.Atoi(s[len("127.0.0.1:"):]) // digits, by the expression
		for i, from := range []int{8883, 6222, 8222, 4222} {
			if n >= from && n < from+mc.NATSServers {
				return fmt.Sprintf("127.0.0.1:%d", port+i*mc.NATSServers+n-from)
			}
		}
		return s
	}
	files, err := filepath.Glob(filepath.Join(dir, "*", "da.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var nodes []*node
	for i := range mc.NATSServers {
		at := func(k int) string { return fmt.Sprintf("127.0.0.1:%d", port+k*mc.NATSServers+i) }
		n := &node{
			t: t, program: program, name: fmt.Sprintf("nats-%d", i+1), mqtt: "tls://" + at(0), route: at(1), watch: "http://" + at(2), plain: at(3),
		}
		n.dir = filepath.Join(dir, "broker", n.name)
		files = append(files, filepath.Join(n.dir, mc.NATSConfFile))
		nodes = append(nodes, n)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(local.ReplaceAllStringFunc(string(b), moved)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range nodes {
		n.start()
	}
	for _, n := range nodes {
		n.awaitHealth()
	}
	return nodes
}

// Write implements io.Writer for the log.
func (n *node) Write(b []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.log.Write(b)
}

func (n *node) start() {
	n.t.Helper()
	n.cmd = exec.Command(n.program, "-c", mc.NATSConfFile)
	n.cmd.Dir, n.cmd.Stdout, n.cmd.Stderr = n.dir, n, n
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) {
		_ = cmd.Wait() // it is killed
		close(ended)
	}(n.cmd, n.ended)
	if n.startedFor++; n.startedFor == 1 {
		n.t.Cleanup(func() {
			n.kill()
			if n.t.Failed() {
				n.mu.Lock()
				defer n.mu.Unlock()
				log := n.log.String()
				n.t.Logf("%s: %s", n.name, log[max(0, len(log)-4000):])
			}
		})
	}
}

// kill ends the process as a power cut of its machine would.
func (n *node) kill() {
	_ = n.cmd.Process.Kill() // it may have ended
	<-n.ended
}

func (n *node) hangUp() {
	n.t.Helper()
	if err := n.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		n.t.Fatal(err)
	}
}

// get asks the server how it is.
func (n *node) get(path string) ([]byte, error) {
	client := http.Client{Timeout: 5 * time.Second}
	r, err := client.Get(n.watch + path)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r.Body)
	_ = r.Body.Close() // read to its end
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", r.Status, b)
	}
	return b, err
}

// awaitHealth waits until the server takes part: it tells no one when it does.
func (n *node) awaitHealth() {
	n.t.Helper()
	began := time.Now()
	for {
		_, err := n.get("/healthz")
		if err == nil {
			return
		}
		select {
		case <-n.ended:
			n.t.Fatalf("%s has ended: %s", n.name, n.text())
		case <-time.After(50 * time.Millisecond):
		}
		if time.Since(began) > natsPatience {
			n.t.Fatalf("%s is not well: %v", n.name, err)
		}
	}
}

func (n *node) text() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.log.String()
}

// leader is the index of the server that leads the stream of the messages.
func leader(t *testing.T, nodes []*node) int {
	t.Helper()
	var last error
	for began := time.Now(); time.Since(began) < natsPatience; time.Sleep(50 * time.Millisecond) { // asked, no one tells
		for _, n := range nodes {
			var said struct {
				Accounts []struct {
					Streams []struct {
						Name    string `json:"name"`
						Cluster struct {
							Leader string `json:"leader"`
						} `json:"cluster"`
					} `json:"stream_detail"`
				} `json:"account_details"`
			}
			b, err := n.get("/jsz?accounts=true&streams=true")
			if err == nil {
				err = json.Unmarshal(b, &said)
			}
			last = err
			for _, a := range said.Accounts {
				for _, s := range a.Streams {
					for i, other := range nodes {
						if s.Name == "$MQTT_msgs" && s.Cluster.Leader == other.name {
							return i
						}
					}
				}
			}
		}
	}
	t.Fatalf("no one leads the stream of the messages: %v", last)
	return 0
}

// everyURL names all servers as one broker.
func everyURL(nodes []*node) string {
	var urls []string
	for _, n := range nodes {
		urls = append(urls, n.mqtt)
	}
	return strings.Join(urls, ",")
}

// certificate reads what mc init or mc issue wrote into a folder.
func certificate(t *testing.T, dir, own string) *tls.Config {
	t.Helper()
	cert, pool, err := mc.ReadTLS(filepath.Join(own, mc.TLSCertFile), filepath.Join(own, mc.TLSKeyFile), filepath.Join(dir, mc.CACertFile))
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}, RootCAs: pool}
}

// opened connects a client of ours. Its subscriptions stand when it returns.
func opened(t *testing.T, cfg mqtt.Config, subscribe map[string]func(mqtt.Message)) *mqtt.Client {
	t.Helper()
	if cfg.PublishTimeout == 0 {
		cfg.PublishTimeout = 20 * time.Second
	}
	c, err := mqtt.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	up := make(chan struct{}, 64)
	c.OnUp(func() {
		select {
		case up <- struct{}{}:
		default: // no one waits for it
		}
	})
	for filter, handle := range subscribe {
		c.Subscribe(filter, handle)
	}
	if err := c.Open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	select {
	case <-up:
	case <-time.After(natsPatience):
		t.Fatalf("no connection to %s", cfg.URL)
	}
	return c
}
