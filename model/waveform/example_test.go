package waveform_test

import (
	"fmt"
	"math"

	"fairwatt/model"
	"fairwatt/model/waveform"
)

// A single-phase voltage of 230 V falls to 60 % after 0.2 s.
func ExampleDetector() {
	cfg := waveform.DefaultConfig()
	cfg.NominalV = 230
	d, err := waveform.New(cfg, []model.Channel{model.VoltageVInst})
	if err != nil {
		fmt.Println(err)
		return
	}
	const rate = 4000.0
	for k := range 1000 {
		amplitude := 230 * math.Sqrt2
		if k >= 800 {
			amplitude *= .6
		}
		s := model.Sample{TimeMs: int64(1000 * float64(k) / rate)}
		s.Set(model.VoltageVInst, amplitude*math.Sin(2*math.Pi*50*float64(k)/rate))
		for _, e := range d.Push(&s, rate) {
			fmt.Println(e.TimeMs, "ms:", e.Action, e.Causes[0].Text)
		}
	}
	// Output:
	// 209 ms: raise Voltage dip: voltage over one cycle is 82.5 % of nominal
}
