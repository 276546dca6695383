package board

import (
	"fmt"
	"math"
	"os"
	"sync"
	"syscall"
	"time"

	"fairwatt/agent/sensor/simbus"
)

// A Kernel is the machine between the board and the drivers, and the supply that
// both share. The zero value is kinder than any real one: it is never busy, a
// transfer takes no time, and all that happens is seen.
type Kernel struct {
	// EdgesOnly: pulses are not counted by the board. They come as edges, as on a
	// real pin.
	EdgesOnly bool
	// QueueEdges is how many edges a pin keeps while the drivers do not run; the
	// oldest are dropped. 16 if 0, as Linux keeps for one line.
	QueueEdges int
	// The drivers do not run for StallFor, once in each StallEvery, at a moment
	// that follows from the seed.
	StallEvery, StallFor time.Duration
	// BusHz is the clock of the I2C bus; transfers take no time if 0.
	BusHz float64
	// One transfer in NackEvery, on average, is the first of a burst of NackBurst
	// (1 if 0) that no chip acknowledges: a loose contact.
	NackEvery, NackBurst int
	// The supply dips once in each BrownOutEvery, and all chips start again.
	BrownOutEvery time.Duration
	// Seed sets the moments.
	Seed uint64
}

// defaultQueue is what Linux keeps for a line that asks for nothing else
// (GPIO_V2_GET_LINE_IOCTL, event_buffer_size).
const defaultQueue = 16

func (k *Kernel) check() error {
	switch {
	case k.QueueEdges < 0 || k.QueueEdges > 1024:
		return fmt.Errorf("kernel: a queue of %d edges is not within 0 and 1024", k.QueueEdges)
	case k.StallFor < 0 || k.StallEvery < 0 || k.StallFor > 0 && k.StallFor >= k.StallEvery:
		return fmt.Errorf("kernel: stalls of %v each %v: they must be shorter than what lies between", k.StallFor, k.StallEvery)
	case k.BusHz != 0 && !(k.BusHz >= 1e3 && k.BusHz <= 5e6):
		return fmt.Errorf("kernel: a bus of %g Hz is not within 1000 and 5000000", k.BusHz)
	case k.NackEvery < 0 || k.NackBurst < 0 || k.NackBurst > 1000:
		return fmt.Errorf("kernel: bursts of %d each %d transfers: not within 0 and 1000", k.NackBurst, k.NackEvery)
	case k.BrownOutEvery < 0:
		return fmt.Errorf("kernel: brown-outs each %v", k.BrownOutEvery)
	}
	return nil
}

// SetKernel changes the machine under the drivers from now on.
func (b *Board) SetKernel(k Kernel) error {
	if err := k.check(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kernel = k
	return nil
}

// moment is where in the n-th span of a kind its event lies, within 0 and 1. Any
// moment can be asked for in any order, and is always the same.
func (k *Kernel) moment(kind, n uint64) float64 {
	x := k.Seed*0x9E3779B97F4A7C15 + kind*0xD1B54A32D192ED03 + n + 1
	for range 2 { // splitmix64's mixing
		x ^= x >> 30
		x *= 0xBF58476D1CE4E5B9
		x ^= x >> 27
		x *= 0x94D049BB133111EB
		x ^= x >> 31
	}
	return float64(x>>11) / (1 << 53)
}

// The kinds of moments.
const (
	kindStall = iota
	kindBrownOut
	kindNack
)

// stalled says whether the drivers are kept from running at a moment, and until
// when.
func (k *Kernel) stalled(at time.Duration) (until time.Duration, yes bool) {
	if k.StallFor == 0 {
		return 0, false
	}
	n := at / k.StallEvery
	begin := n*k.StallEvery + time.Duration(k.moment(kindStall, uint64(n))*float64(k.StallEvery-k.StallFor))
	return begin + k.StallFor, at >= begin && at < begin+k.StallFor
}

// brownOuts says whether the supply dips in (from, to].
func (k *Kernel) brownOuts(from, to time.Duration) bool {
	if k.BrownOutEvery == 0 {
		return false
	}
	for n := from / k.BrownOutEvery; n <= to/k.BrownOutEvery; n++ {
		at := n*k.BrownOutEvery + time.Duration(k.moment(kindBrownOut, uint64(n))*float64(k.BrownOutEvery))
		if at > from && at <= to {
			return true
		}
	}
	return false
}

// preempt keeps the drivers from going on while the machine is busy with something
// else. Caller holds mu.
func (b *Board) preempt() {
	if until, yes := b.kernel.stalled(b.now); yes {
		b.run(until - b.now)
	}
}

// transferTime is how long a transfer of so many bytes holds the bus: nine bits a
// byte, and one byte of address for each direction.
func (k *Kernel) transferTime(w, r int) time.Duration {
	if k.BusHz == 0 {
		return 0
	}
	bytes := w + r
	if w > 0 {
		bytes++
	}
	if r > 0 {
		bytes++
	}
	return time.Duration(math.Round(float64(9*bytes+2) / k.BusHz * float64(time.Second)))
}

// loose says whether the next transfer meets a loose contact.
func (b *Board) loose() bool {
	k := &b.kernel
	if k.NackEvery == 0 {
		return false
	}
	b.transfers++
	if b.nackLeft == 0 && k.moment(kindNack, b.transfers) < 1/float64(k.NackEvery) {
		b.nackLeft = max(1, k.NackBurst)
	}
	if b.nackLeft == 0 {
		return false
	}
	b.nackLeft--
	return true
}

// BrownOut lets the supply dip for a moment: every chip starts again with the
// settings that it has after power-up. Meters live off the mains, and the relays'
// coils are slower than the dip.
func (b *Board) BrownOut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.brownOut()
}

func (b *Board) brownOut() {
	for _, c := range b.chips {
		b.powerUp(c)
	}
}

func (b *Board) powerUp(c chip) {
	if a, ok := c.(*ads1115); ok && a.line != nil {
		a.line.collect(b.now)
	}
	b.faults[c.info().Name()].hung = false
	c.powerUp(b.now)
}

// BusPart names the I2C bus in faults.
const BusPart = "i2c"

// adapterTimeout is how long Linux' I2C adapters wait for a bus.
const adapterTimeout = time.Second

// errBusy is what they give for a bus whose lines are held down.
var errBusy = fmt.Errorf("i2c: controller timed out: %w", syscall.ETIMEDOUT)

// An edge is one that the kernel saw.
type edge struct {
	at  time.Duration
	seq uint32
}

// An edgeQueue is what a pin's kernel side keeps. Edges that come while the drivers
// run are taken out of it at once, by whoever waits for them; those that come while
// they do not, queue up.
type edgeQueue struct {
	b    *Board
	pin  string
	chip *ads1115   // whose ready output it is, or nil
	p    *pulsePin  // or whose pulses
	wake *sync.Cond // on the board's lock

	kept   []edge // in the kernel
	ran    []edge // taken by drivers that ran
	seq    uint32
	from   time.Duration // edges of a ready output are collected up to here
	closed bool
}

// maxRan bounds what a reader that never reads may leave behind.
const maxRan = 1 << 16

// Edges gives the falling edges of a pulse pin or of a ready output, with their
// times (sensor.EdgeLines).
func (b *Board) Edges(pin string) (simbus.EdgeLine, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q, err := b.openEdges(pin)
	if err != nil {
		return nil, err
	}
	return q, nil
}

// edgesOf gives the line of a pin that a client reads.
func (b *Board) edgesOf(client any, pin string) (*edgeQueue, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if q := b.opened[client][pin]; q != nil {
		return q, nil
	}
	q, err := b.openEdges(pin)
	if err != nil {
		return nil, err
	}
	if b.opened[client] == nil {
		b.opened[client] = map[string]*edgeQueue{}
	}
	b.opened[client][pin] = q
	return q, nil
}

func (b *Board) openEdges(pin string) (*edgeQueue, error) {
	if a := b.ready[pin]; a != nil {
		return a.line, nil
	}
	p := b.pulses[pin]
	if p == nil {
		return nil, fmt.Errorf("%w with edges: %s", simbus.ErrNoSuchPin, pin)
	}
	q := &edgeQueue{b: b, pin: pin, p: p, wake: sync.NewCond(&b.mu)}
	p.lines = append(p.lines, q)
	return q, nil
}

// push is an edge at a moment. Caller holds the board's lock.
func (q *edgeQueue) push(at time.Duration) {
	q.seq++
	size := q.b.kernel.QueueEdges
	if size == 0 {
		size = defaultQueue
	}
	if q.chip == nil {
		q.settle(at)
	}
	if len(q.kept) == size {
		q.kept = append(q.kept[:0], q.kept[1:]...)
	}
	q.kept = append(q.kept, edge{at, q.seq})
	if q.chip == nil {
		q.settle(at)
	}
}

// settle hands what the queue of a pulse pin keeps to the drivers, if they run.
func (q *edgeQueue) settle(now time.Duration) {
	if _, busy := q.b.kernel.stalled(now); busy {
		return
	}
	q.ran = append(q.ran, q.kept...)
	q.kept = q.kept[:0]
	if len(q.ran) > maxRan {
		q.ran = q.ran[len(q.ran)-maxRan:]
	}
	q.wake.Broadcast()
}

// collect takes the edges of a ready output up to now. Caller holds the lock.
func (q *edgeQueue) collect(now time.Duration) {
	if now <= q.from {
		return
	}
	first, count, period := q.chip.edges(q.from, now)
	q.from = now
	if skip := count - 1024; skip > 0 { // more than any queue keeps
		q.seq += uint32(skip)
		first, count = first+time.Duration(skip)*period, count-skip
	}
	for i := range count {
		q.push(first + time.Duration(i)*period)
	}
}

// err is what reading the pin gives.
func (q *edgeQueue) err() error {
	if q.p != nil {
		return q.p.err()
	}
	return nil
}

// Await implements simbus.EdgeLine. For a ready output it lets the board's time
// pass; for pulses it waits until others do.
func (q *edgeQueue) Await(timeout time.Duration) error {
	b := q.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if q.chip != nil {
		q.awaitReady(timeout)
		return nil
	}
	for end := b.now + timeout; !q.closed && len(q.ran) == 0 && b.now < end && q.err() == nil; {
		q.wake.Wait()
	}
	if q.closed {
		return os.ErrClosed
	}
	return q.err()
}

func (q *edgeQueue) awaitReady(timeout time.Duration) bool {
	b := q.b
	q.collect(b.now)
	if len(q.kept) > 0 {
		return true
	}
	wait, ok := q.chip.nextEdge(b.now)
	if !ok || wait > timeout {
		b.run(timeout)
	} else {
		b.run(wait)
	}
	q.collect(b.now)
	b.preempt()
	return len(q.kept) > 0
}

// Take implements simbus.EdgeLine.
func (q *edgeQueue) Take() (at time.Duration, seq uint32, ok bool, err error) {
	q.b.mu.Lock()
	defer q.b.mu.Unlock()
	return q.take()
}

func (q *edgeQueue) take() (at time.Duration, seq uint32, ok bool, err error) {
	if q.closed {
		return 0, q.seq, false, os.ErrClosed
	}
	if q.chip != nil {
		q.collect(q.b.now)
	}
	if err := q.err(); err != nil {
		return 0, q.seq, false, err
	}
	from := &q.ran
	if q.chip != nil {
		from = &q.kept
	}
	if len(*from) == 0 {
		return 0, q.seq, false, nil
	}
	e := (*from)[0]
	*from = (*from)[1:]
	return e.at, e.seq, true, nil
}

// Close implements simbus.EdgeLine. A ready output stays: others may open it.
func (q *edgeQueue) Close() error {
	q.b.mu.Lock()
	defer q.b.mu.Unlock()
	q.end()
	return nil
}

func (q *edgeQueue) end() {
	if q.chip != nil {
		return
	}
	q.closed = true
	for i, other := range q.p.lines {
		if other == q {
			q.p.lines = append(q.p.lines[:i], q.p.lines[i+1:]...)
			break
		}
	}
	q.wake.Broadcast()
}
