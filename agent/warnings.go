package agent

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"fairwatt/model"
	"fairwatt/model/cap"
)

// WarningsConfig says where official warnings (CAP 1.2) come from. They are one
// more witness: they close the gate or warn, and never open it.
type WarningsConfig struct {
	// File holds one CAP message, which another program rewrites; an empty
	// file means that no warning is out. Topic is an MQTT filter for the same.
	File  string `yaml:"file"`
	Topic string `yaml:"topic"`
	// Places are the site's own names: areaDesc texts and geocodes.
	Places []string `yaml:"places"`
	// Statuses that count; default Actual.
	Statuses []string `yaml:"statuses"`
	// StaleAfter is how long the feed may be silent before that is a warning of
	// its own; default 15 minutes.
	StaleAfter time.Duration `yaml:"stale_after"`
}

func (c *WarningsConfig) validate(l *LocationConfig) error {
	switch {
	case c.File == "" && c.Topic == "":
		return &ConfigError{"warnings", "name a file or a topic"}
	case c.Topic != "" && !validFilter(c.Topic):
		return &ConfigError{"warnings.topic", fmt.Sprintf("%q is no MQTT topic filter", c.Topic)}
	case l == nil && len(c.Places) == 0:
		return &ConfigError{"warnings", "whether a message is for this site could not be known; add location, or places"}
	case c.StaleAfter < time.Minute || c.StaleAfter > 7*24*time.Hour:
		return &ConfigError{"warnings.stale_after", fmt.Sprintf("%s; use 1m to 168h", c.StaleAfter)}
	}
	if _, err := cap.NewDesk(c.site(l)); err != nil {
		return &ConfigError{"warnings", err.Error()}
	}
	return nil
}

func (c *WarningsConfig) site(l *LocationConfig) cap.Site {
	return cap.Site{Position: pointOf(l), Places: c.Places, Statuses: c.Statuses}
}

func pointOf(l *LocationConfig) *cap.Point {
	if l == nil {
		return nil
	}
	return &cap.Point{Lat: l.Latitude, Lon: l.Longitude}
}

// feedID is the id of the warning that the feed itself is silent. No CAP
// message has it: theirs hold a comma.
const feedID = "warning-feed"

// feedLook is how often the file is looked at, at most.
const feedLook = time.Second

// staleUntilMs is how long the feed's own warning stands; it is renewed.
const staleUntilMs = 24 * 60 * 60 * 1000

// A feed is where official warnings come from. The agent's loop owns it.
type feed struct {
	cfg  WarningsConfig
	desk *cap.Desk
	log  *slog.Logger

	heardMs  int64 // sensing clock of the last sign of life, or of the start
	lookedMs int64 // at the file
	looked   bool
	present  bool        // the file was there
	was      os.FileInfo // of the file as read last
	stale    bool        // the feed's own warning stands,
	staleMs  int64       // told last at this time
	trouble  string      // that was logged last

	read, refused uint64

	based bool // the desk's times are those of a clock that was trusted
	kept  int  // revision of the desk that is on disk
}

func newFeed(cfg WarningsConfig, l *LocationConfig, now moment, log *slog.Logger) (*feed, error) {
	desk, err := cap.NewDesk(cfg.site(l))
	if err != nil {
		return nil, fmt.Errorf("warnings: %w", err)
	}
	return &feed{cfg: cfg, desk: desk, log: log, heardMs: now.sensingMs}, nil
}

// look returns the file's bytes and when it was written, on the sensing clock,
// when it is another one than before. A file from before the start is as old as
// its date says.
func (f *feed) look(now moment) (b []byte, writtenMs int64, news bool, err error) {
	if f.cfg.File == "" || f.looked && now.sensingMs-f.lookedMs < feedLook.Milliseconds() {
		return nil, 0, false, nil
	}
	first := !f.looked
	f.looked, f.lookedMs = true, now.sensingMs
	info, err := os.Stat(f.cfg.File)
	if err != nil {
		known := !first && !f.present
		f.present = false
		if known {
			return nil, 0, false, nil // counted and told when it went
		}
		return nil, 0, false, fmt.Errorf("look at warnings: %w", err)
	}
	if f.present && os.SameFile(info, f.was) && info.ModTime().Equal(f.was.ModTime()) && info.Size() == f.was.Size() {
		return nil, 0, false, nil
	}
	f.present, f.was = true, info
	if !info.Mode().IsRegular() { // a pipe would hold up the loop
		return nil, 0, false, fmt.Errorf("read warnings: %s is no regular file", f.cfg.File)
	}
	if b, err = readBounded(f.cfg.File); err != nil {
		return nil, 0, false, fmt.Errorf("read warnings: %w", err)
	}
	writtenMs = now.sensingMs
	if first {
		writtenMs -= max(0, now.wall.Sub(f.was.ModTime()).Milliseconds())
	}
	return b, writtenMs, true, nil
}

// readBounded reads no more than one byte over the limit, which Parse refuses.
func readBounded(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(file, cap.MaxBytes+1))
	return b, errors.Join(err, file.Close())
}

// heed takes what the file says and notices a feed that is silent. It runs
// after the sample was judged.
func (a *Agent) heed() error {
	if a.feed == nil {
		return nil
	}
	if err := a.rebase(); err != nil {
		return err
	}
	b, writtenMs, news, err := a.feed.look(a.now)
	switch {
	case err != nil:
		a.feed.refuse(err)
	case news:
		if err := a.warning(b, writtenMs); err != nil {
			return err
		}
	}
	return a.feedAge()
}

// rebase gives the warnings their times again when the wall clock has become
// another one.
func (a *Agent) rebase() error {
	f := a.feed
	f.desk.Unsure = !a.now.synced
	switch first := !f.based && a.now.synced; {
	case first, a.now.steppedMs != 0:
		orders := f.desk.Rebase(a.now.wall, a.now.sensingMs, !first)
		f.based = a.now.synced
		return a.apply(orders)
	}
	f.based = f.based && a.now.synced
	return nil
}

// restoreDesk gives the desk back what it knew. What cannot be read is put aside:
// the judge keeps what is in force, and a message that was cancelled may block again
// when it is read again.
func (a *Agent) restoreDesk() error {
	if a.feed == nil {
		return nil
	}
	a.feed.desk.Unsure = !a.now.synced
	return a.readState(stateDesk, a.feed.desk.RestoreState)
}

// deskState adds the desk's state to a commit if it has changed.
func (a *Agent) deskState(state map[string][]byte) error {
	if a.feed == nil || a.feed.desk.Rev() == a.feed.kept {
		return nil
	}
	b, err := a.feed.desk.State()
	if err != nil {
		return err
	}
	state[stateDesk], a.feed.kept = b, a.feed.desk.Rev()
	return nil
}

// diskRefused counts and tells of a commit that failed.
func (a *Agent) diskRefused(what string, err error) {
	a.counters.commitFailures++
	a.log.Error(what, "err", err)
	if a.feed != nil {
		a.feed.kept = -1 // write it again
	}
}

// refuse counts what cannot be used and tells of it once.
func (f *feed) refuse(err error) {
	f.refused++
	if f.trouble != err.Error() {
		f.log.Warn("official warning refused", "err", err)
	}
	f.trouble = err.Error()
}

// retainedMs stands for a message that a broker kept: no one knows since when,
// so it is no sign of life.
const retainedMs = -1

// warning takes one message, written at heardMs of the sensing clock. One that
// cannot be read is no sign of life, and what is in force stays so; where it may
// be grave it warns.
func (a *Agent) warning(b []byte, heardMs int64) error {
	f := a.feed
	if len(bytes.TrimSpace(b)) > 0 {
		alert, err := cap.Parse(b)
		if err != nil {
			f.refuse(err)
			return a.unread(b)
		}
		f.read++
		f.trouble = ""
		if err := a.orders(alert); err != nil {
			return err
		}
	}
	if heardMs == retainedMs {
		return nil
	}
	f.heardMs = heardMs
	if f.silent(a.now.sensingMs) {
		return nil
	}
	if f.stale {
		f.log.Info("official warnings are heard again")
	}
	f.stale, a.judged = false, true
	return a.eventsOf(a.judge.Withdraw(feedID, a.now.sensingMs))
}

// orders hands the judge what a message asks of it.
func (a *Agent) orders(alert *cap.Alert) error {
	orders, note := a.feed.desk.Handle(alert, a.now.wall, a.now.sensingMs)
	a.log.Info("official warning", "sender", alert.Sender, "id", alert.Identifier, "note", note)
	if alert.OddCount > 0 {
		a.log.Warn("official warning: passed over", "id", alert.Identifier, "things", alert.OddCount, "what", strings.Join(alert.Oddities, "; "))
	}
	for _, id := range a.feed.desk.Lit(alert) {
		orders = append(orders, cap.Order{Withdraw: id})
	}
	return a.apply(orders)
}

// unread warns of a message that cannot be read and may be grave.
func (a *Agent) unread(b []byte) error {
	orders, note := a.feed.desk.Unread(b, a.now.wall, a.now.sensingMs)
	a.log.Warn("official warning unread", "note", note)
	return a.apply(orders)
}

func (a *Agent) apply(orders []cap.Order) error {
	a.judged = true // what is in force is part of the kept state
	for _, o := range orders {
		if o.Withdraw != "" {
			if err := a.eventsOf(a.judge.Withdraw(o.Withdraw, a.now.sensingMs)); err != nil {
				return err
			}
			continue
		}
		events, err := a.judge.Warn(o.Warning, a.now.sensingMs)
		if err != nil {
			a.feed.refuse(err)
		}
		if err := a.eventsOf(events); err != nil {
			return err
		}
	}
	return nil
}

func (f *feed) silent(nowMs int64) bool { return nowMs-f.heardMs > f.cfg.StaleAfter.Milliseconds() }

// feedAge tells of a feed that is silent: no warning then is not calm.
func (a *Agent) feedAge() error {
	f, now := a.feed, a.now.sensingMs
	if !f.silent(now) || f.stale && now-f.staleMs < staleUntilMs/2 {
		return nil
	}
	if !f.stale {
		f.log.Warn("official warnings are stale", "silent_s", (now-f.heardMs)/1000)
	}
	f.stale, f.staleMs, a.judged = true, now, true
	events, err := a.judge.Warn(model.Warning{
		ID: feedID, Event: "no sign of life from the feed of official warnings", Level: model.LevelWarn, UntilMs: now + staleUntilMs,
	}, now)
	return errors.Join(err, a.eventsOf(events))
}

// validFilter says whether an MQTT topic filter is well formed.
func validFilter(filter string) bool {
	if len(filter) > 1024 || strings.ContainsAny(filter, "\x00\n") {
		return false
	}
	levels := strings.Split(filter, "/")
	for i, level := range levels {
		switch {
		case level == "+", level == "#" && i == len(levels)-1:
		case strings.ContainsAny(level, "+#"):
			return false
		}
	}
	return true
}
