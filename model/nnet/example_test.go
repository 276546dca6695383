package nnet_test

import (
	"fmt"

	"fairwatt/model"
	"fairwatt/model/nnet"
)

// A station without a rain gauge in a calm, dry hour: thunder is scored by the
// head that needs no rain, and nothing warns.
func ExampleShipped() {
	net, err := nnet.Shipped()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer net.Close()
	extractor := model.NewExtractor()
	for minute := range int64(4 * 60) {
		s := model.Sample{TimeMs: minute * 60_000}
		s.Set(model.TemperatureC, 12)
		s.Set(model.HumidityPct, 40)
		s.Set(model.PressureHPa, 1024)
		s.Set(model.WindSpeedMPS, 2)
		s.Set(model.WindGustMPS, 3)
		extractor.Push(&s)
	}
	var f model.Features
	extractor.Features(&f)
	scores, err := net.Score(&f)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, k := range []model.Kind{model.KindThunderstorm, model.KindWind, model.KindHeat} {
		warn, known := net.WarnThreshold(k)
		fmt.Println(k, scores.Has[k], known && scores.P[k] >= warn)
	}
	// Output:
	// thunderstorm true false
	// wind true false
	// heat false false
}
