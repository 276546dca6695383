package consensus

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"fairwatt/aggregator/consensus/wal"
	"fairwatt/proto/fairwattpb"

	"github.com/hyperledger-labs/SmartBFT/pkg/api"
)

// errCrash is what a write returns at which the simulated machine dies.
var errCrash = errors.New("the simulated machine died here")

// A memDisk is the folder of logs of a simulated node: wal.Dir in memory, by the
// same rules. It may die at any write, just before it or just after.
type memDisk struct {
	mu     sync.Mutex
	epochs map[uint64]*memEpoch
	marks  [2]map[string][]byte // outlast the process, not a backup that is put back
	write  func(name string) (before, after error)
}

type memEpoch struct {
	has, fresh bool
	lost       string
	log        [][]byte
}

func (d *memDisk) epoch(e uint64) *memEpoch {
	if d.epochs[e] == nil {
		d.epochs[e] = &memEpoch{}
	}
	return d.epochs[e]
}

// change runs f as a write of the disk.
func (d *memDisk) change(what string, f func()) error {
	before, after := d.write(what)
	if before != nil {
		return before
	}
	d.mu.Lock()
	f()
	d.mu.Unlock()
	return after
}

func (d *memDisk) Whole(epoch uint64) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.epochs[epoch]
	if e == nil || e.lost != "" || !e.has && !e.fresh {
		return false, nil
	}
	for number, later := range d.epochs {
		if number > epoch && later.has {
			return false, nil
		}
	}
	return true, nil
}

func (d *memDisk) Open(_ api.Logger, epoch, height uint64, entered bool) (wal.Log, [][]byte, error) {
	d.mu.Lock()
	e := d.epochs[epoch]
	first := epoch == 1 && height == 0 && len(d.epochs) == 0
	lost := e != nil && e.lost != "" || (e == nil || !e.has && !e.fresh) && !entered && !first
	d.mu.Unlock()
	if lost {
		return nil, nil, wal.ErrLost
	}
	begin := func() {
		if e := d.epoch(epoch); e.fresh || !e.has {
			*e = memEpoch{fresh: true}
		}
	}
	if err := d.change("begin", begin); err != nil {
		return nil, nil, err
	}
	if err := d.Prepare(epoch + 1); err != nil {
		return nil, nil, err
	}
	var content [][]byte
	err := d.change("open", func() {
		e := d.epoch(epoch)
		e.has, e.fresh, content = true, false, slices.Clone(e.log)
		for number := range d.epochs {
			if number < epoch {
				delete(d.epochs, number)
			}
		}
	})
	return memLog{d, epoch}, content, err
}

func (d *memDisk) Prepare(epoch uint64) error {
	return d.change("prepare", func() {
		if e := d.epoch(epoch); !e.has && e.lost == "" {
			e.fresh = true
		}
	})
}

func (d *memDisk) Lose(epoch uint64, why string) error {
	return d.change("lose", func() { d.epoch(epoch).lost = why })
}

func (d *memDisk) Renew(epoch uint64) error {
	return d.change("renew", func() { d.epochs[epoch] = &memEpoch{fresh: true} })
}

func (*memDisk) Resumption() ([]byte, error)     { return nil, nil }
func (*memDisk) PastResumption() ([]byte, error) { return nil, nil }
func (*memDisk) Resumed() error                  { return errors.New("nothing to resume by") }

func (d *memDisk) Marks() ([2]map[string][]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.marks, nil
}

func (d *memDisk) PutMarks(turn uint64, marks map[string][]byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.marks[turn%2] = marks
	return nil
}

type memLog struct {
	disk  *memDisk
	epoch uint64
}

func (l memLog) Append(entry []byte, truncateTo bool) error {
	return l.disk.change("append", func() {
		e := l.disk.epoch(l.epoch)
		if truncateTo {
			e.log = nil
		}
		e.log = append(e.log, slices.Clone(entry))
	})
}

func (memLog) Close() error { return nil }

// copyOf is a backup.
func (d *memDisk) copyOf() map[uint64]*memEpoch {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make(map[uint64]*memEpoch)
	for number, e := range d.epochs {
		c := *e
		c.log = slices.Clone(e.log)
		out[number] = &c
	}
	return out
}

// forget loses the log of the newest epoch in use.
func (d *memDisk) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	var newest uint64
	for number, e := range d.epochs {
		if e.has {
			newest = max(newest, number)
		}
	}
	delete(d.epochs, newest)
	delete(d.epochs, newest+1) // and the mark made ahead
	d.marks = [2]map[string][]byte{}
	d.epochs[0] = &memEpoch{} // the folder is not a new one
}

// A simApp is a ledger whose disk may die too, or be slow.
type simApp struct {
	*fakeApp
	write func(what string) (before, after error)
	bend  func(block []byte) []byte // what a faulty leader makes of its block
}

func (a *simApp) Commit(cb *fairwattpb.CertifiedBlock) (Decision, error) {
	before, after := a.write("commit")
	if before != nil {
		return Decision{}, before
	}
	d, err := a.fakeApp.Commit(cb)
	if err == nil {
		err = after
	}
	return d, err
}

// backup is all that is on the disks of a node.
type backup struct {
	epochs map[uint64]*memEpoch
	blocks []*fairwattpb.CertifiedBlock
	at     time.Time
}

func (b backup) String() string { return fmt.Sprintf("%d blocks, of %v", len(b.blocks), b.at) }
