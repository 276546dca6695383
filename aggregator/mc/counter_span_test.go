package mc

import (
	"path/filepath"
	"testing"

	"fairwatt/proto/seal"
)

// A centre that runs and commands beside it, as many as come: each takes a span of its
// own, and what the running one says next is still within the chain's window.
func TestCounterBesideManyCommands(t *testing.T) {
	path := filepath.Join(t.TempDir(), "counter.db")
	var window seal.Window // as the chain has it
	next := func(c *counter) {
		t.Helper()
		n, err := c.next()
		if err != nil {
			t.Fatal(err)
		}
		if !window.Accept(n) {
			t.Fatalf("counter %d is refused, the newest on the chain is %d", n, window.Last())
		}
	}
	open := func() *counter {
		t.Helper()
		c, err := openCounter(path)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	running := open()
	next(running)
	for range 3 * seal.WindowSize / reserve {
		command := open()
		command.sawOnChain(window.Last())
		next(command)
		running.sawOnChain(window.Last())
	}
	next(running)
	if running.end-window.Last() >= reserve {
		t.Errorf("a span of %d counters goes to %d from %d", reserve, running.end, window.Last())
	}
	held := running.end
	for range 3 {
		next(running)
		running.sawOnChain(window.Last())
	}
	if running.end != held {
		t.Error("its own records on the chain cost it its span")
	}
}
