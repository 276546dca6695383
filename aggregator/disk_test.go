//go:build linux

package aggregator_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"fairwatt/proto/fairwattpb"
)

// A disk without room: every DA stops with an error that names it, the page
// says so, nothing is half-applied, and all go on when there is room again.
func TestFullDisk(t *testing.T) {
	// The limit holds for all files of a process, the test's own log too: the
	// test runs in its own process.
	if os.Getenv("FAIRWATT_FULL_DISK") == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestFullDisk$", "-test.v")
		cmd.Env = append(os.Environ(), "FAIRWATT_FULL_DISK=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	w := newTown(t, testGenesis())
	w.startAll()
	seller := w.device("seller-1", "site-seller-1")
	applied(t, "gate", seller.send(seller.gate(1, open)))

	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	full := before
	full.Cur = largestFile(t, w.dir) + 8<<10 // the next growth of the store fails
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &full); err != nil {
		t.Skipf("the size of files cannot be limited here: %v", err)
	}
	restore := func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
			t.Error(err)
		}
	}
	defer restore()
	ended := make(chan error, 1)
	go func() { ended <- w.wait("da-1") }()
	var err error
	counter := uint64(2)
	for deadline := time.Now().Add(patience); err == nil; counter++ {
		if time.Now().After(deadline) {
			t.Fatal("the disk never became full")
		}
		r := seller.gate(counter, blocked)
		r.GetGateChange().Causes[0].Text = strings.Repeat("x", 500)
		_ = w.da("da-1").Submit(t.Context(), seller.seal(seller.id, counter, r)) // refused once it has stopped
		select {
		case err = <-ended:
		case <-time.After(5 * time.Millisecond):
		}
	}
	restore()
	delete(w.stop, "da-1")
	if !strings.Contains(err.Error(), "aggregator da-1: ") || !strings.Contains(err.Error(), "too large") {
		t.Errorf("it ended with: %v", err)
	}
	if fault := w.da("da-1").Snapshot().Fault; !strings.Contains(fault, "too large") {
		t.Errorf("the page says: %q", fault)
	}
	for id := range w.stop {
		if err := w.stop[id](); err != nil && !strings.Contains(err.Error(), "too large") {
			t.Errorf("%s ended with: %v", id, err)
		}
		delete(w.stop, id)
	}
	for _, da := range w.g.DAs() {
		w.start(da.ID) // loads the state and checks its root
	}
	seller.counter = counter + 1
	applied(t, "gate", seller.send(seller.gate(counter+1, fairwattpb.GateState_GATE_STATE_OPEN)))
}

func largestFile(t *testing.T, dir string) uint64 {
	t.Helper()
	var largest int64
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			largest = max(largest, info.Size())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return uint64(largest)
}
