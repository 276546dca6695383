package grid

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"fairwatt/agent/contactor/drive"
	"fairwatt/agent/sensor"
	"fairwatt/agent/trade"
	"fairwatt/firmware-sim/board"
	"fairwatt/model"
)

// worldStep is the wall time between two steps of the world. A contactor that
// closes or opens between two steps moves the world on at that moment, so that no
// energy is lost between them.
const worldStep = 50 * time.Millisecond

// The boards run for settleTime before anything reads them, so that an anemometer
// has turned.
const settleTime = time.Minute

// The boards measure a world: the weather at every site, the power of every
// generator, and the energy that flows from a seller to a buyer while a contactor
// is closed. It runs on trace time: speed seconds a second.
type world struct {
	speed  float64
	lossE4 int64
	now    func() time.Time // the wall's clock
	log    *slog.Logger
	sites  []*site
	houses map[string]*house // by id
	slots  *slotWorld        // nil where no one trades by slots

	mu      sync.Mutex
	started time.Time
	at      time.Duration // trace time since the start, integrated so far
	flows   map[string]*flow
}

// A site is one generator: its weather and power, hour by hour, and its board.
type site struct {
	id    string
	board *board.Board
	meter string // pin of the S0 meter that counts deliveries
	// beginMs is the trace time at which the run begins, Unix ms. The rows from
	// there on repeat after a marked gap.
	beginMs int64
	rows    []model.Sample
	spanMs  int64 // of one round through the rows, the gap included

	// A driver holds reading while it measures: a step of the world is minutes
	// of trace time, and no measurement may span one.
	reading sync.Mutex

	fed      int // index of the row the board shows; -1 in the gap
	powerW   float64
	delivery *flow // what the contactor was closed for last; nil before
	world    *world

	gates gateLog
}

// A house is a buyer: a board with one S0 meter a circuit.
type house struct {
	id    string
	board *board.Board
	pins  map[string]string // pin by meter name
	// refuses draws nothing, whatever contactor is closed for it.
	refuses bool
}

// A flow is one delivery: the energy that truly left the seller and reached the
// buyer.
type flow struct {
	site       *site
	house      *house
	meter      string // of the buyer
	volumeWh   int64  // at most this much
	closed     bool   // the contactor was told so
	fromWh     int64  // the seller's register when it was
	soldWh     float64
	receivedWh float64
	countedWh  int64 // by the seller's register, in the closings that are over
}

func newWorld(speed float64, log *slog.Logger) *world {
	return &world{
		speed: speed, lossE4: lineLossE4, now: time.Now, log: log,
		houses: make(map[string]*house), flows: make(map[string]*flow),
	}
}

// run moves the world until the context ends.
func (w *world) run(ctx context.Context) error {
	tick := time.NewTicker(worldStep)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			w.mu.Lock()
			w.advance()
			w.mu.Unlock()
		}
	}
}

// begin starts trace time and feeds every board its first row.
func (w *world) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.started = w.now()
	for _, s := range w.sites {
		s.fed = -2
		s.feed(0)
		s.board.Advance(settleTime)
	}
}

// sinceStart is the trace time since the start.
func (w *world) sinceStart() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.traceNow()
}

// traceNow is the trace time of this moment. The caller holds mu.
func (w *world) traceNow() time.Duration {
	return time.Duration(float64(w.now().Sub(w.started)) * w.speed)
}

// advance integrates up to now. The caller holds mu.
func (w *world) advance() {
	now := w.traceNow()
	// Rows change at their own moments, not at the steps.
	for w.at < now {
		next := now
		for _, s := range w.sites {
			if change := s.nextChange(w.at); change > w.at && change < next {
				next = change
			}
		}
		next = w.slots.until(next, w)
		dt := next - w.at
		w.carry(dt)
		for _, s := range w.sites {
			s.reading.Lock()
			s.board.Advance(dt)
			s.reading.Unlock()
		}
		for _, h := range w.houses {
			h.board.Advance(dt)
		}
		w.at = next
		w.slots.note(w)
		for _, s := range w.sites {
			s.feed(next)
		}
	}
}

// carry moves the energy of a span of trace time over every closed contactor, or into the
// grid of a neighbourhood that trades by slots.
func (w *world) carry(dt time.Duration) {
	w.slots.carry(dt, w)
	for _, s := range w.sites {
		if f := s.delivery; f != nil && f.flowing() {
			f.carry(dt, s.powerW, w.lossE4, w.log)
		}
	}
}

// flowing says whether energy moves: the relay's contact is closed, whatever it
// was told, the generator gives power, and the volume paid for is not reached.
func (f *flow) flowing() bool {
	closed, err := f.site.board.Relay(contactorPin)
	return err == nil && closed && !f.house.refuses && f.site.powerW > 0 && f.soldWh < float64(f.volumeWh)
}

// carry moves a delivery's energy of a span of trace time to both meters.
func (f *flow) carry(dt time.Duration, powerW float64, lossE4 int64, log *slog.Logger) {
	// The contactor cuts the flow off at the volume paid for.
	soldWh := min(powerW*dt.Hours(), float64(f.volumeWh)-f.soldWh)
	receivedWh := soldWh * float64(10_000-lossE4) / 10_000
	f.soldWh += soldWh
	f.receivedWh += receivedWh
	if err := f.site.board.AddEnergyWh(f.site.meter, soldWh); err != nil {
		log.Error("seller's meter", "site", f.site.id, "err", err)
	}
	if err := f.house.board.AddEnergyWh(f.house.pins[f.meter], receivedWh); err != nil {
		log.Error("buyer's meter", "house", f.house.id, "err", err)
	}
}

// feed gives the board the row that holds at a trace time since the start.
func (s *site) feed(at time.Duration) {
	i := s.rowAt(at.Milliseconds() % s.spanMs)
	if i == s.fed {
		return
	}
	s.fed = i
	s.reading.Lock()
	defer s.reading.Unlock()
	if i < 0 { // the gap between the trace's end and its beginning
		s.powerW = 0
		s.board.Feed(&model.Sample{})
		return
	}
	row := &s.rows[i]
	s.powerW, _ = row.Get(model.PowerW)
	s.board.Feed(row)
}

// rowAt is the index of the newest row not after an offset from the first.
func (s *site) rowAt(offsetMs int64) int {
	lo, hi := 0, len(s.rows)
	for lo < hi {
		mid := (lo + hi) / 2
		if s.rows[mid].TimeMs-s.beginMs <= offsetMs {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	last := len(s.rows) - 1
	if lo-1 == last && offsetMs >= s.rows[last].TimeMs-s.beginMs+s.intervalMs() {
		return -1
	}
	return lo - 1
}

// intervalMs is the usual distance of two rows.
func (s *site) intervalMs() int64 {
	if len(s.rows) < 2 {
		return 3_600_000
	}
	return s.rows[1].TimeMs - s.rows[0].TimeMs
}

// nextChange is the trace time since the start at which the board gets another
// row.
func (s *site) nextChange(at time.Duration) time.Duration {
	offset := at.Milliseconds()
	round := offset / s.spanMs * s.spanMs
	i := s.rowAt(offset % s.spanMs)
	next := s.spanMs
	switch {
	case i >= 0 && i+1 < len(s.rows):
		next = s.rows[i+1].TimeMs - s.beginMs
	case i == len(s.rows)-1:
		next = s.rows[i].TimeMs - s.beginMs + s.intervalMs()
	}
	return time.Duration(round+next) * time.Millisecond
}

// A steadySensor holds its site's time while it measures.
type steadySensor struct {
	sensor.Sensor
	site *site
}

// Read implements sensor.Sensor.
func (s steadySensor) Read(ctx context.Context, sample *model.Sample) error {
	s.site.reading.Lock()
	defer s.site.reading.Unlock()
	return s.Sensor.Read(ctx, sample)
}

// A contactor lets a seller's energy flow to the buyer named in its delivery,
// through the relay on the seller's board.
type contactor struct {
	site *site
	*drive.Line
}

// newContactor opens the relay of a site.
func newContactor(s *site) (contactor, error) {
	line, err := drive.New(contactorConfig, s.board)
	return contactor{s, line}, err
}

// Close implements trade.Contactor.
func (c contactor) Close(d trade.Delivery) error {
	w := c.site.world
	w.mu.Lock()
	defer w.mu.Unlock()
	w.advance()
	f := w.flows[d.TradeID]
	if f == nil {
		h := w.houses[d.Buyer]
		if h == nil {
			return fmt.Errorf("close contactor: no line to buyer %q", d.Buyer)
		}
		if _, ok := h.pins[d.BuyerMeter]; !ok {
			return fmt.Errorf("close contactor: buyer %q has no meter %q", d.Buyer, d.BuyerMeter)
		}
		f = &flow{site: c.site, house: h, meter: d.BuyerMeter, volumeWh: d.VolumeWh}
		w.flows[d.TradeID] = f
	}
	if now := c.site.delivery; now != nil && now.closed && now != f {
		return fmt.Errorf("close contactor: it delivers another trade than %q", d.TradeID)
	}
	fromWh, err := c.site.registerWh()
	if err != nil {
		return fmt.Errorf("close contactor: %w", err)
	}
	if !f.closed {
		f.fromWh = fromWh
	}
	c.site.delivery, f.closed = f, true
	return c.Line.Close(d)
}

// Open implements trade.Contactor.
func (c contactor) Open(tradeID string) error {
	w := c.site.world
	w.mu.Lock()
	defer w.mu.Unlock()
	w.advance()
	err := c.Line.Open(tradeID)
	f := c.site.delivery
	if f == nil || !f.closed {
		return err
	}
	f.closed = false
	toWh, errRegister := c.site.registerWh()
	f.countedWh += toWh - f.fromWh
	return errors.Join(err, errRegister)
}

// give has a seller without a board deliver to a house, all at once.
func (w *world) give(tradeID, buyer, meter string, soldWh float64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := &flow{house: w.houses[buyer], meter: meter, soldWh: soldWh, receivedWh: soldWh * float64(10_000-w.lossE4) / 10_000}
	w.flows[tradeID] = f
	if f.house == nil || soldWh == 0 {
		return nil
	}
	if err := f.house.board.AddEnergyWh(f.house.pins[meter], f.receivedWh); err != nil {
		return fmt.Errorf("buyer's meter of %s: %w", buyer, err)
	}
	return nil
}

// registerWh is the seller's meter: a pulse a Wh.
func (s *site) registerWh() (int64, error) {
	n, _, err := s.board.PulseCount(s.meter)
	return int64(n), err
}

// delivered returns the energy of a trade that truly left the seller and reached
// the buyer, in Wh, and what the seller's register counted of it.
func (w *world) delivered(tradeID string) (soldWh, receivedWh float64, countedWh int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.flows[tradeID]
	if f == nil {
		return 0, 0, 0
	}
	return f.soldWh, f.receivedWh, f.countedWh
}
