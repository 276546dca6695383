package aggregator

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
)

// deedsOf returns what is logged of a block at a moment.
func deedsOf(c *ledgertest.Chain, st *ledger.Staged, nowMs int64, level slog.Level) string {
	var out bytes.Buffer
	d := &DA{state: c.State, deps: Deps{Now: func() time.Time { return time.UnixMilli(nowMs) }},
		log: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level}))}
	d.logDeeds(st)
	return out.String()
}

func deposits(t *testing.T, c *ledgertest.Chain, from, count int) *ledger.Staged {
	t.Helper()
	var all [][]byte
	for i := range count {
		sealed, err := c.Seal(ledgertest.Centre, &fairwattpb.Record{Body: &fairwattpb.Record_Deposit{Deposit: &fairwattpb.Deposit{
			To: "buyer-1", AmountMicro: 1, Reference: fmt.Sprint("r-", from+i)}}})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, sealed)
	}
	st, err := c.Advance(all...)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// What is refused is no deed; a block of old deeds is no news; and no block fills the log.
func TestDeedsAreBoundedNews(t *testing.T) {
	c, err := ledgertest.New(ledgertest.Genesis(4, 1, 1))
	if err != nil {
		t.Fatal(err)
	}
	full := deposits(t, c, 0, maxDeeds)
	at := full.Header().GetTimeMs()
	if log := deedsOf(c, full, at, slog.LevelInfo); strings.Count(log, "level=INFO msg=deposit ") != maxDeeds || strings.Contains(log, "not logged") {
		t.Errorf("of %d deeds:\n%s", maxDeeds, log)
	}
	limit := at + newsFor.Milliseconds()
	if log := deedsOf(c, full, limit, slog.LevelInfo); strings.Count(log, "\n") != maxDeeds {
		t.Errorf("at the limit of news:\n%s", log)
	}
	if log := deedsOf(c, full, limit+1, slog.LevelInfo); log != "" {
		t.Errorf("of old deeds:\n%s", log)
	}
	if log := deedsOf(c, full, limit+1, slog.LevelDebug); strings.Count(log, "level=DEBUG") != maxDeeds {
		t.Errorf("of old deeds at debug:\n%s", log)
	}
	more := deposits(t, c, maxDeeds, maxDeeds+3)
	if log := deedsOf(c, more, at, slog.LevelInfo); strings.Count(log, "\n") != maxDeeds+1 || !strings.Contains(log, "count=3 ") {
		t.Errorf("of too many deeds:\n%s", log)
	}
	again := deposits(t, c, 0, 1)
	if log := deedsOf(c, again, at, slog.LevelInfo); again.Outcomes()[0].GetApplied() || log != "" {
		t.Errorf("of a refused deposit:\n%s", log)
	}
}

// Each record that says who takes part, and with what, has its line.
func TestAdmissionsHaveWords(t *testing.T) {
	silent := map[string]bool{ // they are told as steps of a trade, or are no one's business but the sender's
		"gate_change": true, "offer": true, "request": true, "response": true, "pay": true, "release": true, "start": true, "hold": true, "resume": true,
		"reading": true, "bill": true, "confirm": true, "word": true, "rejoin": true, "tick": true, "bond": true, "unbond": true,
		"appeal": true, "verdict": true, "grant": true, "approval": true, "report": true, "ask": true, "bid": true, "slot_reading": true,
	}
	r := (&fairwattpb.Record{}).ProtoReflect()
	fields := r.Descriptor().Oneofs().ByName("body").Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		of := r.New()
		of.Set(f, of.NewField(f))
		what, args := admission(of.Interface().(*fairwattpb.Record))
		if (what == "") != silent[string(f.Name())] || len(args)%2 != 0 || what != "" && len(args) == 0 {
			t.Errorf("%s is logged as %q with %v", f.Name(), what, args)
		}
	}
}
