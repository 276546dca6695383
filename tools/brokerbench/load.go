package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

const (
	hearers = 4
	size    = 256
	patient = 60 * time.Second // for an answer of the broker
	silence = 10 * time.Second // after which what has not come is lost
	tick    = 10 * time.Millisecond
)

// A result is what was measured of one broker once.
type result struct {
	start            time.Duration // until the first client is connected
	published        float64       // messages a second, each heard by all
	p50, p99         time.Duration
	idleMB, loadedMB float64
	cpuUS            float64 // processor time of the broker, a message published
	lost             int
}

// A run is a broker in its process and the clients of this one.
type run struct {
	result
	dir  string
	cmd  *exec.Cmd
	addr string

	conns []paho.Client // of those that publish
	all   []paho.Client

	mu    sync.Mutex
	began time.Time
	heard int
	want  int             // of heard; news is told when it is reached
	took  []time.Duration // of those that say when they were sent
	news  chan struct{}
	total int // published
}

// begin starts a broker and connects everyone.
func begin(name string, p plan) (*run, error) {
	dir, err := os.MkdirTemp("", "brokerbench-")
	if err != nil {
		return nil, err
	}
	r := &run{dir: dir, began: time.Now(), news: make(chan struct{}, 1)}
	if err := r.open(name, p.clients); err != nil {
		return nil, errors.Join(err, r.end())
	}
	return r, nil
}

func (r *run) open(name string, clients int) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	r.addr = l.Addr().String()
	if err := l.Close(); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, "-serve", name, "-addr", r.addr, "-dir", r.dir)
	cmd.Stderr = os.Stderr
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	r.cmd = cmd
	first, err := connect(r.addr, "first", 20*time.Millisecond)
	if err != nil {
		return err
	}
	r.start = time.Since(began)
	first.Disconnect(100)
	if r.idleMB, err = residentMB(cmd.Process.Pid); err != nil {
		return err
	}
	for i := range hearers + clients {
		c, err := connect(r.addr, fmt.Sprintf("c-%d", i), time.Second)
		if err != nil {
			return err
		}
		r.all = append(r.all, c)
		if i >= hearers {
			r.conns = append(r.conns, c)
		} else if err := settled(c.Subscribe("fairwatt/v1/+/+/up/record", 1, r.hear)); err != nil {
			return err
		}
	}
	return nil
}

// end disconnects everyone and ends the broker. Again it does nothing.
func (r *run) end() error {
	for _, c := range r.all {
		c.Disconnect(100)
	}
	r.all = nil
	var err error
	if r.cmd != nil {
		_ = r.cmd.Process.Signal(os.Interrupt) // Wait tells how it ended
		err = r.cmd.Wait()
		used := r.cmd.ProcessState.UserTime() + r.cmd.ProcessState.SystemTime()
		r.cpuUS = float64(used.Microseconds()) / float64(max(1, r.total))
		r.cmd = nil
	}
	return errors.Join(err, os.RemoveAll(r.dir))
}

func connect(addr, id string, retry time.Duration) (paho.Client, error) {
	c := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + addr).SetClientID(id).SetCleanSession(false).SetOrderMatters(false).
		SetConnectRetry(true).SetConnectRetryInterval(retry).SetMessageChannelDepth(1000))
	return c, settled(c.Connect())
}

func settled(t paho.Token) error {
	if !t.WaitTimeout(patient) {
		return fmt.Errorf("no answer in %s", patient)
	}
	return t.Error()
}

// hear takes one message.
func (r *run) hear(_ paho.Client, m paho.Message) {
	at, err := strconv.ParseInt(strings.TrimRight(string(m.Payload()), "."), 10, 64)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.heard++; err == nil && at > 0 {
		r.took = append(r.took, time.Since(r.began)-time.Duration(at))
	}
	if r.heard%1000 == 0 || r.heard >= r.want {
		select {
		case r.news <- struct{}{}:
		default:
		}
	}
}

// allHeard waits until all have heard so many, and returns how many were lost: those
// that have not come when nothing comes any more.
func (r *run) allHeard(want int) int {
	r.mu.Lock()
	r.want = want
	last := r.heard
	r.mu.Unlock()
	for last < want {
		timer := time.NewTimer(silence)
		select {
		case <-r.news:
			timer.Stop()
		case <-timer.C:
			r.mu.Lock()
			still := r.heard == last
			r.mu.Unlock()
			if still {
				return want - last
			}
		}
		r.mu.Lock()
		last = r.heard
		r.mu.Unlock()
	}
	return 0
}

func (r *run) publish(client int, at time.Duration) paho.Token {
	text := strconv.FormatInt(int64(at), 10)
	return r.conns[client].Publish(fmt.Sprintf("fairwatt/v1/site/pv-%d/up/record", client), 1, false, text+strings.Repeat(".", size-len(text)))
}

// flatOut publishes as fast as the broker acknowledges, one at a time for each client.
func (r *run) flatOut(messages int) error {
	start := time.Now()
	failed := make(chan error, len(r.conns))
	each := messages / len(r.conns)
	for i := range r.conns {
		go func() {
			for range each {
				if err := settled(r.publish(i, 0)); err != nil {
					failed <- err
					return
				}
			}
			failed <- nil
		}()
	}
	var errs []error
	for range r.conns {
		errs = append(errs, <-failed)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	r.total = each * len(r.conns)
	r.lost = r.allHeard(r.total * hearers)
	r.published = float64(r.total) / time.Since(start).Seconds()
	return nil
}

// steady publishes at a rate, whether the broker keeps up or not, and takes the times
// until messages are heard.
func (r *run) steady(rate float64, long time.Duration) error {
	clock := time.NewTicker(tick)
	defer clock.Stop()
	var tokens []paho.Token
	for start := time.Now(); time.Since(start) < long; <-clock.C {
		for due := int(rate * time.Since(start).Seconds()); len(tokens) < due; {
			tokens = append(tokens, r.publish(len(tokens)%len(r.conns), time.Since(r.began)))
		}
	}
	for _, t := range tokens {
		if err := settled(t); err != nil {
			return err
		}
	}
	r.total += len(tokens)
	r.lost += r.allHeard(r.total*hearers - r.lost)
	var err error
	if r.loadedMB, err = residentMB(r.cmd.Process.Pid); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.took) == 0 {
		return errors.New("nothing was heard at the fixed rate")
	}
	slices.Sort(r.took)
	r.p50, r.p99 = r.took[len(r.took)/2], r.took[len(r.took)*99/100]
	return nil
}

// residentMB is what a process has in memory, by /proc.
func residentMB(pid int) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmRSS:" {
			kib, err := strconv.ParseFloat(f[1], 64)
			return kib * 1024 / 1e6, err
		}
	}
	return 0, errors.New("no VmRSS in the process's status")
}
