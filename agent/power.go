package agent

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"fairwatt/agent/contactor"
	"fairwatt/agent/trade"
	"fairwatt/model"
)

// A Watched is a contactor with feedback. watched is false where none is wired.
type Watched interface {
	Feedback() (closed, watched bool, err error)
}

// power is the agent's hand on the contactor. The loop owns sw; the line is
// shared with the guard.
type power struct {
	sw      contactor.Switch
	line    trade.Contactor
	log     *slog.Logger
	judging chan struct{} // a judgement was made

	mu     sync.Mutex
	closed string // the trade that the line was told closed for
	lost   bool   // the guard has opened it since the loop last looked
	failed bool   // the last opening; logged once
}

func newPower(line trade.Contactor, log *slog.Logger) *power {
	return &power{line: line, log: log, judging: make(chan struct{}, 1)}
}

// open opens the line, whatever it was told before.
func (p *power) open() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.openLocked()
}

func (p *power) openLocked() error {
	err := p.line.Open(p.closed)
	if err != nil && !p.failed {
		p.log.Error("open contactor", "trade", p.closed, "err", err)
	}
	if p.failed = err != nil; !p.failed {
		p.closed = ""
	}
	return err
}

// close closes the line, unless the guard has opened it meanwhile.
func (p *power) close(d trade.Delivery) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = d.TradeID // also if it fails: it may have closed
	return p.line.Close(d)
}

// judged tells the guard that a judgement was made.
func (p *power) judged() {
	select {
	case p.judging <- struct{}{}:
	default: // it has not taken the last one yet
	}
}

// guard opens the contactor when the judge is lost: when no judgement has been
// made for limit, because a driver hangs and the loop stands still.
func (p *power) guard(ctx context.Context, limit time.Duration) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.judging:
			timer.Reset(limit)
		case <-timer.C:
			p.lose(limit)
			timer.Reset(limit)
		}
	}
}

// lose opens what is closed.
func (p *power) lose(limit time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed == "" {
		return
	}
	p.lost = true
	p.log.Error("no judgement: the contactor is opened", "for", limit, "trade", p.closed)
	_ = p.openLocked() // it logs, and the loop opens again when it comes round
}

// taken says whether the guard has opened the line since the last call.
func (p *power) taken() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.lost
	p.lost = false
	return was
}

// judgeLostAfter is how long the contactor may stay closed without a
// judgement: as long as a judge with electrical inputs waits for them.
func (a *Agent) judgeLostAfter() time.Duration {
	return max(5*time.Second, 3*a.cfg.Tick)
}

// demand is what the contactor follows.
func (a *Agent) demand() contactor.Demand {
	d := contactor.Demand{GateOpen: a.judge.State() == model.StateOpen}
	if s := a.trade.seller; s != nil {
		d.Delivering = s.Delivering()
	}
	return d
}

// reflex opens what is closed and may not be, before anything is written or
// sent.
func (a *Agent) reflex() {
	if a.power.taken() {
		a.power.sw.Told("", false) // where it is now is to be made sure of
	}
	if a.power.sw.MustOpen(a.demand()) {
		a.open()
	}
}

// open opens the contactor and notes whether that worked.
func (a *Agent) open() {
	a.power.sw.Told("", a.power.open() == nil)
}

// closeFor lets a delivery flow, if that may be.
func (a *Agent) closeFor(d trade.Delivery) {
	if !a.power.sw.MayClose(a.demand(), d.TradeID) {
		a.log.Warn("contactor stays open", "trade", d.TradeID, "fault", a.power.sw.Fault().String())
		return
	}
	err := a.power.close(d)
	if err != nil {
		a.log.Error("close contactor", "trade", d.TradeID, "err", err)
	}
	if a.power.sw.Told(d.TradeID, err == nil); err != nil {
		a.open() // it may have closed all the same
	}
}

// interrupted is the delivering trade whose contactor is open, "" for none.
func (a *Agent) interrupted() string {
	if t := a.trade.seller.Active(); t != nil && t.TradeID != a.power.sw.Trade() {
		return t.TradeID
	}
	return ""
}

var contactorStates = map[contactor.Fault]model.ContactorState{
	contactor.None: model.ContactorAgrees, contactor.Unwatched: model.ContactorUnwatched,
	contactor.Welded: model.ContactorWelded, contactor.Stuck: model.ContactorStuck, contactor.Unable: model.ContactorUnable,
}

// feel looks at the contactor's feedback and tells the judge.
func (a *Agent) feel() {
	var f contactor.Feeling
	var err error
	if w, ok := a.deps.Contactor.(Watched); ok {
		f.Closed, f.Watched, err = w.Feedback()
		f.Known = err == nil
	}
	before := a.power.sw.Fault()
	fault := a.power.sw.Feel(a.now.sensingMs, f)
	switch {
	case fault == before:
	case fault == contactor.None:
		a.log.Info("contactor is where it should be", "before", before.String())
	case fault == contactor.Unwatched:
		if _, none := a.deps.Contactor.(trade.NoContactor); !none {
			a.log.Info("contactor has no feedback: a welded contact is not seen")
		}
	case err != nil:
		a.log.Warn("contactor", "fault", fault.String(), "trade", a.power.sw.Trade(), "err", err)
	default:
		a.log.Warn("contactor", "fault", fault.String(), "trade", a.power.sw.Trade())
	}
	a.judge.Contactor(contactorStates[fault])
}
