package soak

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// A process is one data aggregator, as the soak knows it from outside.
type process struct {
	id, dir string
	number  int
	broker  *forwarder // its way to the broker, nil for the straight one
	command []string
	spec    spec
	out     map[string]*forwarder // its connections, by whom they go to

	mu      sync.Mutex
	cmd     *exec.Cmd
	orders  io.WriteCloser
	ended   chan struct{} // closed when the newest process has ended
	ending  bool          // it was told to end
	heard   word
	heardAt time.Time
	hurt    bool // a deed is under way
	hostile bool // it lies from now on
	died    []string
}

// start runs the data aggregator.
func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	log, err := os.OpenFile(filepath.Join(p.dir, "log.txt"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("%s: log: %w", p.id, err)
	}
	defer log.Close() // the process has its own
	cmd := exec.Command(p.command[0], append(p.command[1:], p.dir)...)
	cmd.Stderr = log
	orders, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("%s: %w", p.id, err)
	}
	says, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("%s: %w", p.id, err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.id, err)
	}
	ended := make(chan struct{})
	p.cmd, p.orders, p.ended, p.ending, p.heardAt = cmd, orders, ended, false, time.Time{}
	go func() {
		defer close(ended)
		p.listen(says)
		p.reap(cmd, cmd.Wait())
	}()
	return nil
}

func (p *process) listen(says io.Reader) {
	lines := bufio.NewScanner(says)
	for lines.Scan() {
		var w word
		if err := json.Unmarshal(lines.Bytes(), &w); err != nil {
			continue // cut off by a kill
		}
		p.mu.Lock()
		p.heard, p.heardAt = w, time.Now()
		p.mu.Unlock()
	}
}

func (p *process) reap(cmd *exec.Cmd, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != cmd {
		return
	}
	p.heardAt = time.Time{}
	if !p.ending {
		p.died = append(p.died, fmt.Sprintf("%s ended by itself: %v; see %s", p.id, err, filepath.Join(p.dir, "log.txt")))
	}
}

func (p *process) signal(s syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s == syscall.SIGKILL || s == syscall.SIGTERM {
		p.ending = true
	}
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("%s: %v: %w", p.id, s, err)
	}
	return nil
}

// kill ends the process at once, and waits until it is gone.
func (p *process) kill() error {
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	p.mu.Lock()
	ended := p.ended
	p.mu.Unlock()
	<-ended
	return nil
}

func (p *process) order(format string, args ...any) error {
	p.mu.Lock()
	orders := p.orders
	p.mu.Unlock()
	if _, err := fmt.Fprintf(orders, format+"\n", args...); err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("order to %s: %w", p.id, err)
	}
	return nil
}

// status is what it said last, and whether that was just now.
func (p *process) status(now time.Time) (w word, up bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.heard, now.Sub(p.heardAt) < 5*wordEvery
}

// started says that the process runs, whether or not it answers.
func (p *process) started() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.heardAt.IsZero()
}

func (p *process) mark(hurt bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hurt = hurt
}

// faulty says that a deed is under way, or that it has not come back from one: newest
// is the newest height of any.
func (p *process) faulty(now time.Time, newest uint64) bool {
	w, up := p.status(now)
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hurt || p.hostile || !up || !w.Voting || w.Height+behind < newest
}

// behind is how many blocks one may lack that has the newest ones.
const behind = 10
