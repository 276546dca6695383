package soak

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"fairwatt/aggregator"
	"fairwatt/aggregator/mc"
	"fairwatt/aggregator/peer"
	"fairwatt/proto/mqtt"
)

// A spec is what a process is told of the data aggregator that it is to be.
type spec struct {
	ID, Dir, Listen, Broker string
	// Through are the forwarders that stand before the addresses of the chain.
	Through map[string]string
	// Hostile lets it take orders to lie.
	Hostile bool
	Seed    uint64
}

const specFile = "soak.json"

// A word is what a data aggregator says of itself, five times a second.
type word struct {
	Height, Epoch, View   uint64
	Voting                bool
	Leader                string
	Complaints, Views     uint64
	Restarts, Pulled, Cut uint64
	Following             string
	Pending               int
}

const wordEvery = 200 * time.Millisecond

// Member is one data aggregator in a process of its own. dir holds its identity and
// spec; in gives orders, a line each; its end ends the member. What it says of itself
// goes to out.
func Member(ctx context.Context, dir string, in io.Reader, out io.Writer) error {
	raw, err := os.ReadFile(filepath.Join(dir, specFile))
	if err != nil {
		return fmt.Errorf("read spec: %w", err)
	}
	var s spec
	if err := json.Unmarshal(raw, &s); err != nil {
		return fmt.Errorf("read spec: %w", err)
	}
	m := &member{spec: s, log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))}
	da, err := m.make(dir)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // a read of standard input ends with the process alone
		defer cancel()
		m.obey(in)
	}()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return da.Run(ctx) })
	g.Go(func() error { return m.speak(ctx, da, out) })
	return g.Wait()
}

type member struct {
	spec   spec
	log    *slog.Logger
	diskNs atomic.Int64 // how long each synced write waits
	liar   *liar
}

func (m *member) make(dir string) (*aggregator.DA, error) {
	genesis, err := mc.ReadGenesis(filepath.Join(dir, "..", mc.GenesisFile))
	if err != nil {
		return nil, err
	}
	key, err := mc.ReadKey(filepath.Join(dir, mc.SealKeyFile))
	if err != nil {
		return nil, err
	}
	cert, pool, err := mc.ReadTLS(filepath.Join(dir, mc.TLSCertFile), filepath.Join(dir, mc.TLSKeyFile), filepath.Join(dir, "..", mc.CACertFile))
	if err != nil {
		return nil, err
	}
	peers := make(map[string]string)
	for _, da := range genesis.DAs() {
		if da.ID != m.spec.ID {
			peers[da.ID] = da.Address
		}
	}
	var link aggregator.Link
	link, err = peer.NewGRPC(peer.Config{
		Self: m.spec.ID, ListenAddr: m.spec.Listen, Peers: peers, TLS: mc.PeerTLS(cert, pool), Logger: m.log, Dialer: m.dial,
	})
	if err != nil {
		return nil, err
	}
	if m.spec.Hostile {
		m.liar = newLiar(link, m.spec.ID, m.spec.Seed)
		link = m.liar
	}
	pipe, err := mqtt.New(aggregator.MQTTOf(m.spec.ID, mqtt.Config{
		URL: m.spec.Broker, TLS: &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}, RootCAs: pool}, Logger: m.log,
	}))
	if err != nil {
		return nil, err
	}
	return aggregator.New(aggregator.Config{ID: m.spec.ID, Dir: m.spec.Dir, Software: "soak", FromBlocks: true}, aggregator.Deps{
		Genesis: genesis, Key: key, Link: link, Pipes: []mqtt.Pipe{pipe}, Disk: m.disk, Logger: m.log,
	})
}

// dial goes through the forwarder of an address.
func (m *member) dial(ctx context.Context, addr string) (net.Conn, error) {
	through, ok := m.spec.Through[addr]
	if !ok {
		return nil, fmt.Errorf("dial %s: no forwarder stands before it", addr)
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", through)
}

// disk is the slowness of the disk, which is what is played here.
func (m *member) disk() { time.Sleep(time.Duration(m.diskNs.Load())) }

// obey takes orders: "disk 200ms", "lie KIND", "lie none".
func (m *member) obey(in io.Reader) {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if err := m.order(strings.Fields(lines.Text())); err != nil {
			m.log.Error("order", "line", lines.Text(), "err", err)
		}
	}
}

func (m *member) order(words []string) error {
	switch {
	case len(words) != 2:
		return errors.New("want two words")
	case words[0] == "disk":
		d, err := time.ParseDuration(words[1])
		if err != nil {
			return err
		}
		m.diskNs.Store(int64(d))
		return nil
	case words[0] == "lie" && m.liar != nil:
		return m.liar.become(words[1])
	}
	return errors.New("no such order")
}

func (m *member) speak(ctx context.Context, da *aggregator.DA, out io.Writer) error {
	every := time.NewTicker(wordEvery)
	defer every.Stop()
	to := json.NewEncoder(out)
	for {
		s := da.Stats()
		err := to.Encode(word{
			Height: s.Height, Epoch: s.Epoch, View: s.View, Voting: s.Voting, Leader: s.Leader, Complaints: s.Complaints, Views: s.ViewChanges,
			Restarts: s.Restarts, Pulled: s.Pulled, Cut: s.CutOffs, Following: s.Following, Pending: s.Pending,
		})
		if err != nil {
			return fmt.Errorf("speak: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-every.C:
		}
	}
}
