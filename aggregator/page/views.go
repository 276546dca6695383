package page

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"fairwatt/aggregator/console"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/wire"
)

// Limits of what a device may make an aggregator keep.
const (
	maxGenerators = 10_000
	maxScores     = 16
	maxShownText  = 300
)

// views are what agents say of themselves, unsigned, for people to look at. Nothing the chain decides depends on them.
type views struct {
	mu   sync.Mutex
	byID map[string]*device // by site/device
	bad  uint64
	// What devices said before they were admitted, by device: a broker lets each write in
	// its own name alone, so that one cannot take the room of many.
	early map[string]early
}

// early is what a device says once, as it connects.
type early struct {
	site         string
	status, info []byte
	at           time.Time // of the status
}

const (
	maxEarly      = 256 // devices
	maxEarlyBytes = 512 // each status and info
)

// keepEarly keeps what a device that is not admitted will not say again when it is.
func (v *views) keepEarly(t wire.Topic, payload []byte, now time.Time) {
	if t.Class != wire.ClassStatus && t.Class != wire.ClassInfo || len(payload) > maxEarlyBytes {
		return
	}
	e, ok := v.early[t.Device]
	if !ok && len(v.early) >= maxEarly {
		return
	}
	if e.site != t.Site {
		e = early{site: t.Site}
	}
	if t.Class == wire.ClassStatus {
		e.status, e.at = slices.Clone(payload), now
	} else {
		e.info = slices.Clone(payload)
	}
	if v.early == nil {
		v.early = make(map[string]early)
	}
	v.early[t.Device] = e
}

// takeEarly hands on what was kept. What is malformed is as if it had not been said.
func (v *views) takeEarly(g *device) {
	e, ok := v.early[g.ID]
	delete(v.early, g.ID)
	if !ok || e.site != g.Site {
		return
	}
	if e.status != nil && readStatus(g, e.status, e.at) != nil {
		v.bad++
	}
	if e.info != nil && readInfo(&g.Generator, e.info) != nil {
		v.bad++
	}
}

// A device is what one says of itself. Its gate counts as what sight says.
type device struct {
	console.Generator
	sight wire.Sight
}

var (
	hazardLevels = []string{"", wire.LevelOK, "none", wire.LevelWarn, wire.LevelBlock}
	errUnknown   = errors.New("not a participant of this chain")
)

// take reads one gate, hazard, info or status message. known says whether a device is
// registered at a site; others are not shown, or anyone who may publish could
// fill the memory.
func (v *views) take(m mqtt.Message, now time.Time, known func(site, device string) bool) (online bool, t wire.Topic, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	defer func() {
		if err != nil && !errors.Is(err, errUnknown) {
			v.bad++
		}
	}()
	if t, err = wire.ParseTopic(m.Topic); err != nil {
		return false, t, err
	}
	if len(m.Payload) > wire.MaxViewBytes {
		return false, t, fmt.Errorf("%s: %d bytes, at most %d", m.Topic, len(m.Payload), wire.MaxViewBytes)
	}
	if !known(t.Site, t.Device) {
		v.keepEarly(t, m.Payload, now)
		return false, t, fmt.Errorf("%s: %w", m.Topic, errUnknown)
	}
	if v.byID == nil {
		v.byID = make(map[string]*device)
	}
	key := t.Site + "/" + t.Device
	g := device{Generator: console.Generator{ID: t.Device, Site: t.Site, Online: "unknown"}}
	if old := v.byID[key]; old != nil {
		g = *old
	} else if len(v.byID) >= maxGenerators {
		return false, t, fmt.Errorf("%s: %d devices are shown already", m.Topic, maxGenerators)
	} else {
		v.takeEarly(&g)
	}
	switch {
	case t.Class == wire.ClassStatus:
		err = readStatus(&g, m.Payload, now)
	case t.Class == wire.ClassGate:
		err = readGate(&g, m.Payload, m.Retained, now)
	case t.Class == wire.ClassTelemetry:
		err = readTelemetry(&g, m.Payload, m.Retained, now)
	case t.Class == wire.ClassInfo:
		err = readInfo(&g.Generator, m.Payload)
	case strings.HasPrefix(t.Class, wire.ClassHazard):
		err = readHazard(&g.Generator, strings.TrimPrefix(t.Class, wire.ClassHazard), m.Payload)
	default:
		err = errors.New("no such view")
	}
	if err != nil {
		return false, t, fmt.Errorf("%s: %w", m.Topic, err)
	}
	if !m.Retained { // a retained message does not say when it was sent
		g.LastSeenMs = now.UnixMilli()
	}
	v.byID[key] = &g
	return t.Class == wire.ClassStatus && g.Online == wire.Online, t, nil
}

func readStatus(g *device, payload []byte, now time.Time) error {
	switch s := string(payload); s {
	case wire.Online, wire.Offline:
		g.Online = s
		g.sight.Told(s, now)
		return nil
	default:
		return fmt.Errorf("status %.20q is neither online nor offline", s)
	}
}

// readInfo takes what switches the power that a device sells.
func readInfo(g *console.Generator, payload []byte) error {
	var w wire.Info
	if err := json.Unmarshal(payload, &w); err != nil {
		return fmt.Errorf("info: %w", err)
	}
	if w.Schema != "" && w.Schema != wire.SchemaInfo {
		return fmt.Errorf("info: schema %.20q is not %s", w.Schema, wire.SchemaInfo)
	}
	g.Contactor = clip(w.Contactor)
	return nil
}

func readGate(g *device, payload []byte, retained bool, now time.Time) error {
	var w wire.Gate[wire.Cause]
	if err := json.Unmarshal(payload, &w); err != nil {
		return fmt.Errorf("gate: %w", err)
	}
	if w.Schema != "" && w.Schema != wire.SchemaGate {
		return fmt.Errorf("gate: schema %.20q is not %s", w.Schema, wire.SchemaGate)
	}
	if !slices.Contains(wire.GateStates, w.State) {
		return fmt.Errorf("gate: state %.20q", w.State)
	}
	if len(w.Causes) > wire.MaxCauses {
		return fmt.Errorf("gate: %d causes, at most %d", len(w.Causes), wire.MaxCauses)
	}
	causes, err := readCauses(w.Causes)
	if err != nil {
		return err
	}
	costs, err := readCosts(w.Cost)
	if err != nil {
		return err
	}
	if !g.sight.Hear(w.State, w.TS.Time, w.ValidUntil.Time, w.Seq, retained, now) {
		return nil // it is older than what is known
	}
	g.Said, g.SinceMs, g.ValidUntilMs = w.State, unixMs(w.Since.Time), unixMs(w.ValidUntil.Time)
	g.OpensAtMs, g.Waits, g.ClearInS, g.Causes = unixMs(w.OpensAt.Time), clip(w.Waits), 0, causes
	if w.ClearInS != nil {
		g.ClearInS = *w.ClearInS
	}
	g.Costs, g.CostSinceMs = costs, unixMs(w.CostSince.Time)
	g.Simulated = g.Simulated || w.Simulated
	g.Scores = nil
	if w.Model != nil && len(w.Model.P) > 0 && len(w.Model.P) <= maxScores {
		g.Scores = make(map[string]float64, len(w.Model.P))
		for kind, p := range w.Model.P {
			if p != nil && *p >= 0 && *p <= 1 {
				g.Scores[clip(kind)] = *p
			}
		}
	}
	return nil
}

// maxCosts bounds the rules of which a device says what they cost.
const maxCosts = 80

func readCosts(list []wire.Cost) ([]console.Cost, error) {
	if len(list) > maxCosts {
		return nil, fmt.Errorf("gate: costs of %d rules, at most %d", len(list), maxCosts)
	}
	out := make([]console.Cost, 0, len(list))
	for _, c := range list {
		if !(c.ClosedS >= 0 && c.AloneS >= 0 && c.AloneS <= c.ClosedS) {
			return nil, fmt.Errorf("gate: rule %.20q cost %v s, %v s of them alone", c.Rule, c.ClosedS, c.AloneS)
		}
		out = append(out, console.Cost{Rule: clip(c.Rule), Title: clip(c.Title), ClosedS: c.ClosedS, AloneS: c.AloneS, KWh: c.KWh, Money: c.Money})
	}
	return out, nil
}

func readCauses(list []wire.Cause) ([]console.Cause, error) {
	out := make([]console.Cause, 0, len(list))
	for _, c := range list {
		if len(c.Inputs) > wire.MaxCauseInputs {
			return nil, fmt.Errorf("gate: cause %.20q has %d inputs, at most %d", c.Rule, len(c.Inputs), wire.MaxCauseInputs)
		}
		inputs := make([]console.Input, len(c.Inputs))
		for i, in := range c.Inputs {
			inputs[i] = console.Input{
				Name: clip(in.Name), Value: in.Value, Unit: clip(in.Unit), Op: clip(in.Op),
				Threshold: in.Threshold, AgeS: in.AgeS, State: clip(in.State),
			}
		}
		out = append(out, console.Cause{
			Rule: clip(c.Rule), Kind: clip(c.Kind), Level: clip(c.Level),
			Latched: c.Latched, Holding: c.Holding, Text: clip(c.Text), Inputs: inputs,
			Title: clip(c.Title), Says: clip(c.Says), SinceMs: unixMs(c.Since.Time), Ends: clip(c.Ends), EndsAtMs: unixMs(c.EndsAt.Time),
		})
	}
	return out, nil
}

func readHazard(g *console.Generator, kind string, payload []byte) error {
	if kind == "" || len(kind) > 32 || strings.ContainsAny(kind, "/+#") {
		return fmt.Errorf("hazard kind %.40q", kind)
	}
	var w wire.Hazard
	if err := json.Unmarshal(payload, &w); err != nil {
		return fmt.Errorf("hazard: %w", err)
	}
	if !slices.Contains(hazardLevels, w.Level) {
		return fmt.Errorf("hazard: level %.20q", w.Level)
	}
	if w.P != nil && !(*w.P >= 0 && *w.P <= 1) {
		return fmt.Errorf("hazard: p %v is not in 0 to 1", *w.P)
	}
	if w.Level == "" || w.Level == "none" {
		w.Level = wire.LevelOK
	}
	h := console.Hazard{Kind: kind, Level: w.Level, P: w.P}
	list := slices.Clone(g.Hazards)
	i, found := slices.BinarySearchFunc(list, kind, func(h console.Hazard, k string) int { return strings.Compare(h.Kind, k) })
	switch {
	case found:
		list[i] = h
	case len(list) >= maxScores:
		return fmt.Errorf("hazard: more than %d kinds", maxScores)
	default:
		list = slices.Insert(list, i, h)
	}
	g.Hazards = list
	return nil
}

// list returns the generators by site and id, with what their gates count as.
// lost says what the aggregator's own way to them lacks since lostAt; empty: it
// stands.
func (v *views) list(now time.Time, lost string, lostAt time.Time) []console.Generator {
	v.mu.Lock()
	defer v.mu.Unlock()
	out := make([]console.Generator, 0, len(v.byID))
	for _, g := range v.byID {
		if g.sight.State == "" {
			continue // a buyer has a status and no gate
		}
		c, sight := g.Generator, g.sight
		sight.Lost, sight.LostAt = lost, lostAt
		if lost != "" {
			c.Online = "unknown"
		}
		if c.Now != nil && now.Sub(time.UnixMilli(c.Now.TimeMs)) > measuredKept {
			c.Now = nil
		}
		seen := sight.At(now)
		c.State, c.Why, c.WhySinceMs, c.LapsesMs = seen.State, clip(seen.Why), unixMs(seen.Since), unixMs(seen.Until)
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b console.Generator) int {
		if n := strings.Compare(a.Site, b.Site); n != 0 {
			return n
		}
		return strings.Compare(a.ID, b.ID)
	})
	return out
}

func (v *views) badCount() uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.bad
}

func unixMs(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// clip bounds a text written by a participant.
func clip(s string) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) <= maxShownText {
		return s
	}
	return strings.ToValidUTF8(s[:maxShownText], "") + "…"
}
