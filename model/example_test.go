package model_test

import (
	"fmt"

	"fairwatt/model"
)

// A gust closes the gate, and says why.
func ExampleJudge() {
	cfg := model.DefaultConfig()
	cfg.SetNominal(230, 50)
	cfg.IntervalS = 600
	cfg.Required = []model.Channel{model.WindGustMPS}
	judge, err := model.NewJudge(cfg, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for i, gust := range []float64{6, 7, 31, 12, 9, 8, 7} {
		s := model.Sample{TimeMs: int64(i) * 600_000}
		s.Set(model.WindGustMPS, gust)
		for _, e := range judge.Step(&s) {
			if e.Type == model.EventGate {
				fmt.Println(e.TimeMs/1000, "s", e.State, "-", e.Reason)
			}
		}
	}
	// Output:
	// 0 s BLOCKED - INIT: start: needs 60 s of valid required inputs and of a grid within its limits; held for 60 s
	// 0 s CLEARING - no cause is active; opens in 300 s; held by INIT
	// 300 s OPEN - no cause is active and every clear time has run
	// 1200 s BLOCKED - W03: gust 31 m/s (>= 25.7 m/s)
	// 1800 s CLEARING - no cause is active; opens in 1800 s; held by W03
	// 3600 s OPEN - no cause is active and every clear time has run
}
