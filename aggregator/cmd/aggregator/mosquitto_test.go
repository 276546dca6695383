package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"google.golang.org/protobuf/proto"

	"fairwatt/aggregator/mc"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/loopback"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// freePorts returns a port from which n are free.
func freePorts(t *testing.T, n int) int {
	t.Helper()
	port, err := loopback.FreePorts(n)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// command runs the program and fails the test unless it succeeds.
func command(t *testing.T, args ...string) string {
	t.Helper()
	var out, errOut bytes.Buffer
	if code := run(context.Background(), args, strings.NewReader(""), &out, &errOut); code != 0 {
		t.Fatalf("aggregator %s: exit %d: %s", strings.Join(args, " "), code, &errOut)
	}
	return strings.TrimSpace(out.String())
}

// background runs the program until the returned function is called.
func background(t *testing.T, args ...string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var log bytes.Buffer
	done := make(chan int, 1)
	go func() { done <- run(ctx, args, strings.NewReader(""), &log, &log) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if code := <-done; code != 0 {
				t.Errorf("aggregator %s: exit %d: %s", strings.Join(args, " "), code, &log)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

func mosquitto(t *testing.T, config string, port int) (stop func()) {
	t.Helper()
	path, err := exec.LookPath("mosquitto")
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/mosquitto"); err != nil {
			t.Skip("mosquitto is not installed: the aggregators are not tried against it")
		}
	}
	cmd := exec.Command(path, "-c", config)
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			t.Logf("mosquitto: %s", &log)
		}
	})
	t.Cleanup(stop)
	deadline := time.Now().Add(time.Minute)
	for {
		conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
		if err == nil {
			_ = conn.Close()
			return stop
		}
		if time.Now().After(deadline) {
			t.Fatalf("mosquitto does not listen: %v\n%s", err, &log)
		}
		time.Sleep(20 * time.Millisecond) // it tells no one when it listens
	}
}

// The operator's way: mc init, the aggregators and a Mosquitto broker as
// configured by it, a participant admitted and credited, a record that becomes
// final, an aggregator that was away, the chain verified.
func TestCommunityOnMosquitto(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "c")
	port := freePorts(t, 9)
	command(t, "mc", "init", "--dir", dir, "--port", fmt.Sprint(port))
	rewrite(t, filepath.Join(dir, "broker", "mosquitto.conf"), "listener 8883 ", fmt.Sprintf("listener %d ", port+4))
	command(t, "mc", "issue", "--dir", dir, "--id", "ada", "--role", "owner", "--site", "harbour", "--out", filepath.Join(dir, "ada"))
	stopBroker := mosquitto(t, filepath.Join(dir, "broker", "mosquitto.conf"), port+4)
	stops := make(map[int]func())
	for i := 1; i <= 4; i++ {
		config := filepath.Join(dir, fmt.Sprintf("da-%d", i), "da.yaml")
		rewrite(t, config, "tls://127.0.0.1:8883", fmt.Sprintf("tls://127.0.0.1:%d", port+4))
		rewrite(t, config, fmt.Sprintf("http: 127.0.0.1:%d", 8079+i), fmt.Sprintf("http: 127.0.0.1:%d", port+4+i))
		stops[i] = background(t, "da", "--config", config)
	}
	centre := filepath.Join(dir, "mc-1", "mc.yaml")
	background(t, "mc", "run", "--config", centre)
	pv := filepath.Join(dir, "pv-1")
	command(t, "mc", "issue", "--dir", dir, "--id", "pv-1", "--role", "agent", "--out", pv)
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	command(t, "mc", "register", "--config", centre, "--enrolment", enrolmentOf(t, dir, "pv-1", private, wire.RoleSeller, wire.RoleBuyer), "--site", "harbour",
		"--meter", "sold", "--meter", "bought", "--rated-w", "8000")
	command(t, "mc", "meter", "add", "--config", centre, "--owner", "pv-1", "--meter", "pv-1-car", "--site", "harbour", "--direction", "import", "--serial", "4711")
	command(t, "mc", "meter", "change", "--config", centre, "--old", "pv-1-sold", "--old-end-wh", "7", "--owner", "pv-1", "--meter", "pv-1-sold2",
		"--site", "harbour", "--direction", "export")
	command(t, "mc", "meter", "retire", "--config", centre, "--meter", "pv-1-car", "--end-wh", "0")
	command(t, "mc", "deposit", "--config", centre, "--to", "pv-1", "--amount", "12.5", "--reference", "r-1")
	command(t, "mc", "deposit", "--config", centre, "--to", "pv-1", "--amount", "7.5", "--reference", "r-2", "--bond")

	agent := newAgent(t, dir, pv, port+4, private)
	if height := agent.send(1); height == 0 {
		t.Error("final at height 0")
	}
	// An aggregator that was away finds what the broker kept for it.
	stops[3]()
	agent.send(2)
	background(t, "da", "--config", filepath.Join(dir, "da-3", "da.yaml"))
	agent.waitFor("da-3")
	agent.hearsItsOwner(dir, port+4)
	agent.hearsItsNeighbour(dir, centre, port+4)
	agent.close()
	for _, stop := range stops {
		stop()
	}
	out := command(t, "chain", "verify", "--data", filepath.Join(dir, "da-1", "data"), "--genesis", filepath.Join(dir, "genesis.json"))
	t.Log(out)
	stopBroker()
}

func rewrite(t *testing.T, path, old, new string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(b, []byte(old)) {
		t.Fatalf("%s has no %q", path, old)
	}
	if err := os.WriteFile(path, bytes.ReplaceAll(b, []byte(old), []byte(new)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// agent is a participant with nothing but its certificate and key.
type agent struct {
	t      *testing.T
	client paho.Client
	key    ed25519.PrivateKey
	chain  [32]byte
	das    map[string]ed25519.PublicKey
	last   string
	said   chan said
	heard  map[string]bool // by DA, of the newest record
}

type said struct {
	da, record string
	height     uint64
	outcome    *fairwattpb.Outcome
}

func newAgent(t *testing.T, dir, own string, port int, key ed25519.PrivateKey) *agent {
	t.Helper()
	cert, pool, err := mc.ReadTLS(filepath.Join(own, mc.TLSCertFile), filepath.Join(own, mc.TLSKeyFile), filepath.Join(own, mc.CACertFile))
	if err != nil {
		t.Fatal(err)
	}
	g, err := mc.ReadGenesis(filepath.Join(dir, mc.GenesisFile))
	if err != nil {
		t.Fatal(err)
	}
	a := &agent{t: t, key: key, chain: g.ChainID(), said: make(chan said, 1024), heard: map[string]bool{}}
	if a.das, err = g.Keys(); err != nil {
		t.Fatal(err)
	}
	a.client = paho.NewClient(paho.NewClientOptions().AddBroker(fmt.Sprintf("tls://127.0.0.1:%d", port)).SetClientID("pv-1").
		SetTLSConfig(&tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: pool}).SetOrderMatters(false))
	a.token(a.client.Connect())
	a.token(a.client.Subscribe("fairwatt/v1/harbour/pv-1/down/receipt/+", 1, func(_ paho.Client, m paho.Message) {
		da := m.Topic()[strings.LastIndex(m.Topic(), "/")+1:]
		signer, payload, err := seal.Open(m.Payload(), seal.DomainReceipt, a.chain, func(id string) (ed25519.PublicKey, bool) {
			k, ok := a.das[id]
			return k, ok
		})
		var r fairwattpb.Receipt
		if err == nil {
			err = proto.Unmarshal(payload, &r)
		}
		if err != nil || signer != da {
			t.Errorf("receipt of %s by %q: %v", da, signer, err)
			return
		}
		for _, e := range r.GetEntries() {
			a.said <- said{da, string(e.GetRecordId()), r.GetHeight(), e.GetOutcome()}
		}
	}))
	return a
}

func (a *agent) token(t paho.Token) {
	a.t.Helper()
	if !t.WaitTimeout(time.Minute) || t.Error() != nil {
		a.t.Fatalf("broker: %v", t.Error())
	}
}

// send publishes a gate change and returns the height at which two aggregators
// say that it is final.
func (a *agent) send(seq uint64) uint64 {
	a.t.Helper()
	payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(&fairwattpb.Record{ChainId: a.chain[:], Sender: "pv-1", Counter: seq,
		TimeMs: time.Now().UnixMilli(), Body: &fairwattpb.Record_GateChange{GateChange: &fairwattpb.GateChange{GateSeq: seq,
			State: fairwattpb.GateState_GATE_STATE_OPEN, ValidUntilMs: time.Now().UnixMilli() + 60_000}}})
	if err != nil {
		a.t.Fatal(err)
	}
	sealed, err := seal.Seal(a.key, "pv-1", seal.DomainRecord, a.chain, payload)
	if err != nil {
		a.t.Fatal(err)
	}
	batch, err := proto.Marshal(&fairwattpb.RecordBatch{Sealed: [][]byte{sealed}})
	if err != nil {
		a.t.Fatal(err)
	}
	a.token(a.client.Publish("fairwatt/v1/harbour/pv-1/up/record", 1, false, batch))
	id := seal.ID(sealed)
	a.last, a.heard = string(id[:]), map[string]bool{}
	for {
		s := a.next()
		if len(a.heard) > 1 {
			return s.height
		}
	}
}

// next waits for the next receipt about the newest record.
func (a *agent) next() said {
	a.t.Helper()
	for {
		select {
		case s := <-a.said:
			if s.record != a.last {
				continue
			}
			if !s.outcome.GetApplied() {
				a.t.Fatalf("%s: %s: %s", s.da, s.outcome.GetCode(), s.outcome.GetReason())
			}
			a.heard[s.da] = true
			return s
		case <-time.After(time.Minute):
			a.t.Fatal("no receipt")
		}
	}
}

func (a *agent) waitFor(da string) {
	a.t.Helper()
	for !a.heard[da] {
		a.next()
	}
}

// hearsItsOwner: the broker lets an owner of the site send commands, and no device.
func (a *agent) hearsItsOwner(dir string, port int) {
	a.t.Helper()
	heard := make(chan string, 8)
	a.token(a.client.Subscribe("fairwatt/v1/harbour/pv-1/cmd/#", 1, func(_ paho.Client, m paho.Message) {
		if m.Topic() != "fairwatt/v1/harbour/pv-1/cmd/result" { // it hears its own answer, too, in any order
			heard <- string(m.Payload())
		}
	}))
	// What the broker forbids it acknowledges, and passes on to no one.
	a.token(a.client.Publish("fairwatt/v1/harbour/pv-1/cmd/ack", 1, false, "by the device"))
	own := filepath.Join(dir, "ada")
	cert, pool, err := mc.ReadTLS(filepath.Join(own, mc.TLSCertFile), filepath.Join(own, mc.TLSKeyFile), filepath.Join(own, mc.CACertFile))
	if err != nil {
		a.t.Fatal(err)
	}
	ada := paho.NewClient(paho.NewClientOptions().AddBroker(fmt.Sprintf("tls://127.0.0.1:%d", port)).SetClientID("ada").
		SetTLSConfig(&tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: pool}))
	a.token(ada.Connect())
	results := make(chan string, 8)
	a.token(ada.Subscribe("fairwatt/v1/harbour/pv-1/cmd/result", 1, func(_ paho.Client, m paho.Message) { results <- string(m.Payload()) }))
	a.token(ada.Publish("fairwatt/v1/ridge/pv-1/cmd/ack", 1, false, "at another site"))
	a.token(ada.Publish("fairwatt/v1/harbour/pv-1/cmd/ack", 1, false, "by the owner"))
	a.token(a.client.Publish("fairwatt/v1/harbour/pv-1/cmd/result", 1, false, "done"))
	for what, c := range map[string]chan string{"by the owner": heard, "done": results} {
		select {
		case got := <-c:
			if got != what {
				a.t.Errorf("heard %q, want %q", got, what)
			}
		case <-time.After(time.Minute):
			a.t.Errorf("%q was not heard", what)
		}
	}
	ada.Disconnect(100)
}

func (a *agent) close() { a.client.Disconnect(100) }
