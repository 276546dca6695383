package agent

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/model"
	"fairwatt/model/cap"
)

// A clock that is synchronised late is told to the judge, once, and official
// warnings get their own times then.
func TestClockSynchronisedLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLiveSite(t)
		path := filepath.Join(t.TempDir(), "w.xml")
		writeFile(t, path, nil)
		s.cfg.Warnings = &WarningsConfig{File: path, StaleAfter: 7 * 24 * time.Hour}
		var synced atomic.Bool
		s.synced = synced.Load
		s.open()
		if s.agent.wallTold || s.log.count("wall clock not synchronised") != 1 {
			t.Error("a clock that nobody vouches for was told to the judge")
		}
		// Over for a day by this clock, and 3 h long: it blocks for 3 h.
		writeFile(t, path, graveFile(time.Now().Add(-24*time.Hour), 3*time.Hour, 0))
		s.wait(5 * time.Second)
		if got := s.agent.Status(); got.Gate != model.StateBlocked || s.rules() != "W09" {
			t.Errorf("under an unsure clock: %v by %s", got.Gate, s.rules())
		}
		s.wait(170 * time.Minute)
		if got := s.rules(); got != "W09" {
			t.Errorf("before its length is over: %s", got)
		}
		synced.Store(true)
		s.wait(2 * time.Second)
		if got := s.agent.Status(); !s.agent.wallTold || got.Gate == model.StateBlocked {
			t.Errorf("the clock is known: %v by %s", got.Gate, s.rules())
		}
		s.end()
	})
}

// graveFile is a message sent at a time, grave for here, for so long, with an onset
// after its sending.
func graveFile(sent time.Time, length, onset time.Duration) []byte {
	a := &cap.Alert{
		Identifier: "s" + fmt.Sprint(sent.Unix()), Sender: "met@example.org", Sent: sent, Status: "Actual", MsgType: "Alert", Scope: "Public",
		Infos: []cap.Info{{
			Categories: []string{"Met"}, Event: "Storm", Urgency: "Expected", Severity: "Severe", Certainty: "Likely",
			Expires: sent.Add(length), Areas: []cap.Area{{Desc: "here", Circles: []cap.Circle{{Center: cap.Point{Lat: 20}, RadiusKM: 50}}}},
		}},
	}
	if onset > 0 {
		a.Infos[0].Onset = sent.Add(onset)
	}
	b, err := a.AppendXML(nil)
	if err != nil {
		panic(err)
	}
	return b
}

// A message that was cancelled is not heeded again after a restart, and one whose
// onset lies ahead blocks at its onset, a restart in between or not.
func TestWarningsOutliveARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLiveSite(t)
		path := filepath.Join(t.TempDir(), "w.xml")
		grave := graveFile(time.Now(), 10*time.Hour, 4*time.Hour)
		writeFile(t, path, grave)
		s.cfg.Warnings = &WarningsConfig{File: path, StaleAfter: 7 * 24 * time.Hour}
		s.open()
		if got := s.rules(); got != "W09" {
			t.Errorf("it warns: %q", got)
		}
		s.end()
		s.wait(time.Hour) // switched off
		s.start()
		s.wait(2 * time.Hour)
		if got := s.agent.Status(); got.Gate != model.StateOpen {
			t.Errorf("before its onset %v by %s", got.Gate, s.rules())
		}
		s.wait(30 * time.Minute)
		if got := s.agent.Status(); got.Gate != model.StateBlocked || s.rules() != "W09" {
			t.Errorf("at its onset %v by %s", got.Gate, s.rules())
		}
		cancel := strings.Replace(string(grave), "<msgType>Alert<", "<msgType>Cancel<", 1)
		identifier := cancel[strings.Index(cancel, "<identifier>")+12 : strings.Index(cancel, "</identifier>")]
		sent := cancel[strings.Index(cancel, "<sent>")+6 : strings.Index(cancel, "</sent>")]
		cancel = strings.Replace(cancel, "<identifier>"+identifier, "<identifier>c1", 1)
		cancel = strings.Replace(cancel, "<info>", "<references>met@example.org,"+identifier+","+sent+"</references><info>", 1)
		writeFile(t, path, []byte(cancel))
		s.wait(5 * time.Second)
		if got := s.rules(); strings.Contains(got, "W09") {
			t.Errorf("cancelled: %s", got)
		}
		s.end()
		writeFile(t, path, grave)
		s.start()
		s.wait(30 * time.Minute)
		if got := s.agent.Status(); got.Gate != model.StateOpen {
			t.Errorf("cancelled and read again after a restart: %v by %s", got.Gate, s.rules())
		}
		s.end()
	})
}
