package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"fairwatt/aggregator/mc"
	"fairwatt/model/neighbours"
	"fairwatt/proto/nowcast"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// A neighbour is a second device, of another site.
func (a *agent) neighbour(t *testing.T, dir, centre string, port int) (paho.Client, ed25519.PrivateKey) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(dir, "pv-2")
	command(t, "mc", "issue", "--dir", dir, "--id", "pv-2", "--role", "agent", "--out", own)
	command(t, "mc", "register", "--config", centre, "--enrolment", enrolmentOf(t, dir, "pv-2", private, wire.RoleSeller), "--site", "ridge")
	cert, pool, err := mc.ReadTLS(filepath.Join(own, mc.TLSCertFile), filepath.Join(own, mc.TLSKeyFile), filepath.Join(own, mc.CACertFile))
	if err != nil {
		t.Fatal(err)
	}
	client := paho.NewClient(paho.NewClientOptions().AddBroker(fmt.Sprintf("tls://127.0.0.1:%d", port)).SetClientID("pv-2").
		SetTLSConfig(&tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: pool}))
	a.token(client.Connect())
	return client, private
}

func (a *agent) sealNowcast(key ed25519.PrivateKey, from wire.Topics, gust float64) []byte {
	a.t.Helper()
	now := time.Now().UnixMilli()
	sealed, err := nowcast.Seal(key, a.chain, from, neighbours.Nowcast{
		Position: neighbours.Position{LatitudeDeg: 54.35, LongitudeDeg: 18.65}, MadeAtMs: now, ValidUntilMs: now + nowcast.ValidMs,
		Weather: neighbours.Weather{GustRatio: neighbours.Some(gust)},
	}, false)
	if err != nil {
		a.t.Fatal(err)
	}
	return sealed
}

// hearsItsNeighbour: through Mosquitto with the access list of mc init, a device is
// handed what another has told, by as many data aggregators as it takes to believe
// the other's key; and no device writes another's nowcast or hands one on.
func (a *agent) hearsItsNeighbour(dir, centre string, port int) {
	a.t.Helper()
	pv1, pv2 := wire.Topics{Site: "harbour", Device: "pv-1"}, wire.Topics{Site: "ridge", Device: "pv-2"}
	other, key := a.neighbour(a.t, dir, centre, port)
	defer other.Disconnect(100)
	handed := make(chan paho.Message, 64)
	a.token(a.client.Subscribe(pv1.Neighbours("+"), 1, func(_ paho.Client, m paho.Message) { handed <- m }))
	// The broker acknowledges what it forbids, and passes it on to no one.
	a.token(other.Publish(pv1.Of(wire.ClassNowcast), 1, true, "by another device"))
	a.token(other.Publish(pv1.Neighbours("da-1"), 1, false, "by a device"))
	a.token(a.client.Publish(pv1.Of(wire.ClassNowcast), 1, true, a.sealNowcast(a.key, pv1, 0.5)))
	a.token(other.Publish(pv2.Of(wire.ClassNowcast), 1, true, a.sealNowcast(key, pv2, 1.5)))
	das := func(id string) (ed25519.PublicKey, bool) { k, ok := a.das[id]; return k, ok }
	roll := nowcast.NewRoll(wire.Vouchers(len(a.das)))
	late := time.After(60 * time.Second)
	for {
		var m paho.Message
		select {
		case m = <-handed:
		case <-late:
			a.t.Error("the neighbour was not heard")
			return
		}
		da := m.Topic()[strings.LastIndex(m.Topic(), "/")+1:]
		list, err := nowcast.OpenDelivery(m.Payload(), da, a.chain, das, pv1, time.Now().UnixMilli())
		if err != nil {
			a.t.Errorf("delivery on %s: %v", m.Topic(), err)
			return
		}
		for _, v := range list {
			public, err := seal.ParseKey(string(v.Key))
			if err != nil {
				a.t.Error(err)
				return
			}
			roll.Say(da, "pv-2", public, time.Now().UnixMilli())
			believed, ok := roll.Key("pv-2", time.Now().UnixMilli())
			if !ok {
				continue // one data aggregator alone
			}
			n, err := nowcast.Open(v.Sealed, a.chain, func(string) (ed25519.PublicKey, bool) { return believed, true })
			if err != nil || n.From != pv2 || n.GustRatio.V != 1.5 {
				a.t.Errorf("%+v, %v", n, err)
			}
			return
		}
	}
}
