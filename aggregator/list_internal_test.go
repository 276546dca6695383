package aggregator

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/mqtt/mqtttest"
	"fairwatt/proto/wire"
)

// listedChain is a chain on which seller-1 came onto the list.
func listedChain(t *testing.T) (*ledgertest.Chain, *ledger.Staged) {
	t.Helper()
	g := ledgertest.Genesis(4, 1, 1)
	ledgertest.Robust(g)
	g.Params.ListBelowE6 = 499_999
	c, err := ledgertest.New(g)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"seller-1", "buyer-1"} {
		for reference, bond := range map[string]bool{"money-": false, "bond-": true} {
			o, err := c.Send(ledgertest.Centre, &fairwattpb.Record{Body: &fairwattpb.Record_Deposit{Deposit: &fairwattpb.Deposit{
				To: id, AmountMicro: 1_000_000, Reference: reference + id, Bond: bond}}})
			if err != nil || !o.Applied {
				t.Fatal(o, err)
			}
		}
	}
	deal := &ledgertest.Deal{Chain: c, ID: "t", Seller: "seller-1", Buyer: "buyer-1", VolumeWh: 2000, PriceMicroPerKWh: 200_000}
	if err := deal.Pay(); err != nil {
		t.Fatal(err)
	}
	c.NowMs += g.Params.StartByMs
	st, err := c.Advance()
	if err != nil {
		t.Fatal(err)
	}
	return c, st
}

// A block that changes the list has every aggregator publish it, signed and retained;
// two of four that say the same are enough for a reader. A broker that is there again
// is told again.
func TestListIsTold(t *testing.T) {
	c, st := listedChain(t)
	var broker mqtttest.Broker
	heard := make(chan mqtt.Message, 16)
	reader := broker.Pipe(mqtt.Will{})
	reader.Subscribe(wire.EveryDevice(wire.ClassList), func(m mqtt.Message) { heard <- m })
	if err := reader.Open(); err != nil {
		t.Fatal(err)
	}
	next := func() mqtt.Message {
		t.Helper()
		select {
		case m := <-heard:
			return m
		case <-time.After(time.Minute):
			t.Fatal("no list")
		}
		return mqtt.Message{}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	for _, id := range []string{"da-1", "da-2"} {
		p := broker.Pipe(mqtt.Will{})
		d := &DA{cfg: Config{ID: id}, app: &app{key: ledgertest.Key(id)}, deps: Deps{Pipes: []mqtt.Pipe{p}}, state: c.State, log: slog.New(slog.DiscardHandler), listed: make(chan struct{}, 1)}
		p.OnUp(d.wakeList)
		go func() { done <- d.tellList(ctx) }()
		if err := p.Open(); err != nil {
			t.Fatal(err)
		}
		if m := next(); m.Topic != wire.ListOfDA(id) {
			t.Errorf("told on %s", m.Topic)
		}
		d.listMoved(st)
		next()
	}
	cancel()
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	var kept [][]byte
	late := broker.Pipe(mqtt.Will{})
	late.Subscribe(wire.EveryDevice(wire.ClassList), func(m mqtt.Message) { kept = append(kept, m.Payload) })
	if err := late.Open(); err != nil {
		t.Fatal(err)
	}
	l, err := ledger.OpenList(c.State.Members(), kept)
	if err != nil || l.Version != 1 || len(l.Listed) != 1 || l.Listed[0].ID != "seller-1" || l.Listed[0].Reason != "no start in time" {
		t.Errorf("%+v, %v", l, err)
	}
}

// A block that leaves the list as it was wakes no one.
func TestListIsNotToldForNothing(t *testing.T) {
	c, _ := listedChain(t)
	d := &DA{listed: make(chan struct{}, 1)}
	c.NowMs += 1000
	st, err := c.Advance()
	if err != nil {
		t.Fatal(err)
	}
	if d.listMoved(st); len(d.listed) != 0 {
		t.Error("told")
	}
	list, _ := c.State.List()
	c.NowMs = list[0].UntilMs
	if st, err = c.Advance(); err != nil {
		t.Fatal(err)
	}
	if d.listMoved(st); len(d.listed) != 1 {
		t.Error("the way back is not told")
	}
	// Behind a change of the members the list is signed by those who vote then.
	<-d.listed
	sealed, err := c.Seal("da-2", c.Rekey("da-2", "da-2-2"))
	if err != nil {
		t.Fatal(err)
	}
	records := [][]byte{sealed}
	for turned := false; !turned; records = nil {
		if st, err = c.Advance(records...); err != nil {
			t.Fatal(err)
		}
		_, turned = st.Turn()
		if d.listMoved(st); len(d.listed) == 1 != turned {
			t.Errorf("block %d changes the members: %v, told: %v", c.State.Height(), turned, len(d.listed) == 1)
		}
	}
}
