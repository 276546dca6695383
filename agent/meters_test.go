package agent

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/agent/sensor"
	"fairwatt/firmware-sim/board"
	"fairwatt/firmware-sim/modbusdevice"
	"fairwatt/model"
	"fairwatt/proto/mqtt/mqtttest"
)

// A meterNet is a board with a Modbus meter on a network.
type meterNet struct {
	*board.Board
	device *modbusdevice.Device
	ctx    context.Context
}

func (m *meterNet) DialContext(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	context.AfterFunc(m.ctx, func() { _ = there.Close() })
	go m.device.ServeLine(there)
	return here, nil
}

// count sets the meter's register.
func (m *meterNet) count(wh float64) {
	var world model.Sample
	world.Set(model.EnergyExportWh, wh+0.5) // single floats of kWh are not exact
	world.Set(model.EnergyImportWh, 5)
	m.device.Feed(&world)
}

// The register of a Modbus meter is the agent's own: it follows the meter, keeps what
// the meter counts over a restart, and does not take another meter's for it.
func TestModbusMeterIsTheRegister(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		device, err := modbusdevice.New("eastron-sdm120", 1)
		if err != nil {
			t.Fatal(err)
		}
		p := newPlant(t)
		net := &meterNet{p.board, device, ctx}
		p.buses = net
		p.more = []sensor.Config{{Kind: sensor.KindModbus, Name: "sdm", Opts: sensor.ModbusOpts{
			Map: "eastron-sdm120", Endpoint: "h", RTU: true, Channels: []model.Channel{model.EnergyExportWh},
		}}}
		go p.run(ctx)
		cfg := testConfig(t, "pv-1")
		cfg.Sensors = append(cfg.Sensors, p.more...)
		db := filepath.Join(t.TempDir(), "agent.db")
		run := func(name string, want int64, after ...float64) {
			t.Helper()
			here, stop := context.WithCancel(ctx)
			a := liveAgent(t, cfg, p, db, nil, nil, (&mqtttest.Broker{}).Pipe(WillOf(&cfg)))
			ended := make(chan error, 1)
			go func() { ended <- a.Run(here) }()
			time.Sleep(5 * time.Second)
			for _, wh := range after {
				net.count(wh)
				time.Sleep(5 * time.Second)
			}
			stop()
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			if got, ok := a.register("sdm"); got != want || !ok {
				t.Errorf("%s: register %d %v, want %d", name, got, ok, want)
			}
		}
		net.count(1000)
		run("first", 1012, 1004, 1012)
		net.count(1100) // while the agent is away
		run("after a restart", 1102, 1102)
		run("another meter while it runs", 1105, 30, 33)
		run("restarted behind it", 1108, 36)
		net.count(20) // a third meter while it is away
		run("a third one", 1109, 21)
	})
}

// Any sensor with one energy register may bill; what gives none, or two, is refused
// with the fix.
func TestWhichMetersBill(t *testing.T) {
	for _, c := range []struct{ sensor, want string }{
		{"{kind: s0, name: m, pin: P}", ""}, {"{kind: pzem, name: m, port: X}", ""}, {"{kind: sunspec, name: m, endpoint: h}", ""},
		{"{kind: modbus, name: m, endpoint: h, map: huawei-sun2000}", ""},
		{"{kind: modbus, name: m, port: X, map: abb-b23, channels: [energy_import_wh, power_w]}", ""},
		{"{kind: modbus, name: m, port: X, map: abb-b23}", `"m" gives energy_export_wh and energy_import_wh; name a sensor that gives one of them (channels: [...])`},
		{"{kind: pzem, name: m, port: X, phase: a}", `"m" gives neither energy_export_wh nor energy_import_wh`},
		{"{kind: bme280, name: m}", `"m" gives neither energy_export_wh nor energy_import_wh`},
		{"{kind: s0, name: other, pin: P}", `"m" is the name of no sensor; name one with an energy register`},
	} {
		_, err := ParseConfig(strings.NewReader("{site: a, device: b, contactor: none, sensors: [" + c.sensor + "], sell: {meter: m, price_micro_per_kwh: 1, max_wh: 99}}"))
		want := ""
		if c.want != "" {
			want = "configuration: sell.meter: " + c.want
		}
		if got := fmt.Sprint(err); got != want && !(want == "" && err == nil) {
			t.Errorf("%s: %v, want %s", c.sensor, err, want)
		}
	}
	_, err := ParseConfig(strings.NewReader("{site: a, device: b, sensors: [{kind: pzem, port: X}, {kind: modbus, port: X, address: 2, map: schneider-iem3155}]}"))
	if want := "configuration: sensors[1].baudrate: X is 19200 8E1 here and 9600 8N1 before; set all devices of a line alike"; err == nil || err.Error() != want {
		t.Errorf("two speeds on one line: %v", err)
	}
}
