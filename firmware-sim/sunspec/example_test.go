package sunspec_test

import (
	"context"
	"fmt"
	"net"

	"fairwatt/agent/sensor"
	"fairwatt/firmware-sim/sunspec"
	"fairwatt/model"
)

func Example() {
	inverter, err := sunspec.New(sunspec.Config{Unit: 1, Base: 40000, Models: []uint16{103}, Serial: "4711"})
	if err != nil {
		fmt.Println(err)
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	served := make(chan error, 1)
	go func() { served <- inverter.Serve(ctx, l) }()

	var now, seen model.Sample
	now.Set(model.PowerW, 4210)
	now.Set(model.FrequencyHz, 50.02)
	inverter.Feed(&now)

	reader, err := sensor.New(sensor.Config{
		Kind: sensor.KindSunSpec,
		Opts: sensor.SunSpecOpts{Endpoint: l.Addr().String(), Channels: []model.Channel{model.PowerW, model.FrequencyHz}},
	}, noBuses{})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := reader.Read(ctx, &seen); err != nil {
		fmt.Println(err)
		return
	}
	device := reader.(*sensor.SunSpec).Device()
	fmt.Printf("%s %s: %.0f W, %.2f Hz\n", device.Model, device.Serial, seen.Values[model.PowerW], seen.Values[model.FrequencyHz])
	_ = reader.Halt()
	cancel()
	fmt.Println(<-served)
	// Output:
	// Simulated inverter 4711: 4210 W, 50.02 Hz
	// <nil>
}
