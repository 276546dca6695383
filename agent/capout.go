package agent

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"fairwatt/model"
	"fairwatt/model/cap"
	"fairwatt/proto/wire"
)

// CAPAlertsConfig has alerts told as CAP 1.2 on .../alert/cap beside alert.
type CAPAlertsConfig struct {
	// Status is CAP's; default Test, because a private device must not feed
	// public systems. Actual is refused for a simulated device.
	Status string `yaml:"status"`
	// Sender has no space, comma, < or &; default fairwatt:SITE:DEVICE.
	Sender     string `yaml:"sender"`
	SenderName string `yaml:"sender_name"`
	// Addresses say who is told; default the site.
	Addresses string `yaml:"addresses"`
	// Area is the place's name, default the site. With a location the area is
	// also a circle of RadiusKM, default 1.
	Area     string  `yaml:"area"`
	RadiusKM float64 `yaml:"radius_km"`
	// ValidFor is how long an alert lasts when nothing cancels it, default 24h.
	ValidFor time.Duration `yaml:"valid_for"`
}

func (c *CAPAlertsConfig) fill(cfg *Config) {
	if c.Status == "" {
		c.Status = "Test"
	}
	if c.Sender == "" {
		c.Sender = "fairwatt:" + cfg.Site + ":" + cfg.Device
	}
	if c.Addresses == "" {
		c.Addresses = cfg.Site
	}
	if c.Area == "" {
		c.Area = cfg.Site
	}
	if c.RadiusKM == 0 {
		c.RadiusKM = 1
	}
	if c.ValidFor == 0 {
		c.ValidFor = 24 * time.Hour
	}
}

func (c *CAPAlertsConfig) origin(l *LocationConfig) cap.Origin {
	return cap.Origin{
		Sender: c.Sender, SenderName: c.SenderName, Status: c.Status, Addresses: c.Addresses, Area: c.Area,
		Position: pointOf(l), RadiusKM: c.RadiusKM, ValidFor: c.ValidFor,
	}
}

// validate makes an alert of the settings and has cap judge it.
func (c *CAPAlertsConfig) validate(cfg *Config) error {
	switch {
	case cfg.Simulated && c.Status == "Actual":
		return &ConfigError{"cap_alerts.status", "Actual is not for a simulated device; use Test or Exercise"}
	case c.ValidFor < time.Minute || c.ValidFor > 7*24*time.Hour:
		return &ConfigError{"cap_alerts.valid_for", fmt.Sprintf("%s; use 1m to 168h", c.ValidFor)}
	case !(c.RadiusKM > 0 && c.RadiusKM <= 100):
		return &ConfigError{"cap_alerts.radius_km", fmt.Sprintf("%g; use a number above 0, up to 100", c.RadiusKM)}
	}
	e := model.Event{Type: model.EventAlert, Action: model.ActionRaise, Kind: model.KindWind, Level: model.LevelWarn, ID: "x", Rev: 1}
	if _, err := cap.FromEvent(&e, c.origin(cfg.Location), time.Unix(0, 0).Add(time.Hour), nil); err != nil {
		return &ConfigError{"cap_alerts", strings.TrimPrefix(err.Error(), "CAP from event: ")}
	}
	return nil
}

// A capReference is the newest CAP message of a standing alert.
type capReference struct {
	ID     string `json:"id"`
	SentMs int64  `json:"sent_ms"`
	Alert  string `json:"alert"` // id and revision of the alert
	Rev    int    `json:"rev"`
}

// capAlert queues the CAP form of an alert. A clear whose alert was never told
// has nothing to cancel and is not told either. What was told of a kind before a
// restart is replaced by the first that is told after it.
func (a *Agent) capAlert(e *model.Event) error {
	c := a.cfg.CAPAlerts
	if c == nil {
		return nil
	}
	var previous *cap.Reference
	if r, ok := a.saved.CAP[e.Kind.String()]; ok {
		previous = &cap.Reference{Sender: c.Sender, Identifier: r.ID, Sent: time.UnixMilli(r.SentMs)}
	} else if e.Action == model.ActionClear {
		return nil
	}
	alert, err := cap.FromEvent(e, c.origin(a.cfg.Location), a.now.wall, previous)
	if err != nil {
		return err
	}
	b, err := alert.AppendXML(nil)
	if err != nil {
		return err
	}
	if e.Action == model.ActionClear {
		delete(a.saved.CAP, e.Kind.String())
	} else {
		if a.saved.CAP == nil {
			a.saved.CAP = make(map[string]capReference)
		}
		a.saved.CAP[e.Kind.String()] = capReference{alert.Identifier, alert.Sent.UnixMilli(), e.ID, e.Rev}
	}
	if len(a.pending.Events) < maxPending {
		a.pending.Events = append(a.pending.Events, QueuedEvent{Topic: a.publisher.topics.Of(wire.ClassAlertCAP), Payload: b})
	}
	return nil
}

// cancelOrphans cancels what was told before a restart and does not stand any
// more after the first judgement.
func (a *Agent) cancelOrphans() error {
	if len(a.saved.CAP) == 0 {
		return nil
	}
	view := a.judge.View()
	for k := range model.NumKinds {
		r, told := a.saved.CAP[k.String()]
		if !told || slices.ContainsFunc(view.Alerts, func(v model.AlertView) bool { return v.Kind == k }) {
			continue
		}
		a.judged = true
		e := model.Event{Type: model.EventAlert, Action: model.ActionClear, Kind: k, Level: model.LevelWarn, ID: r.Alert, Rev: r.Rev + 1}
		if err := a.capAlert(&e); err != nil {
			return err
		}
	}
	return nil
}
