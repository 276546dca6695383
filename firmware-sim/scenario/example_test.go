package scenario_test

import (
	"fmt"
	"time"

	"fairwatt/firmware-sim/scenario"
)

func ExampleNew() {
	o := scenario.DefaultOptions(scenario.Storm, 1)
	o.Interval, o.Span = time.Hour, 96*time.Hour
	tr, err := scenario.New(o)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(tr.Rows), "rows;", tr.Meta.Source)
	// Output: 96 rows; firmware-sim scenario storm, seed 1, wind plant
}

func ExamplePlant_PowerW() {
	turbine := scenario.DefaultPlant(scenario.Wind)
	for _, wind := range []float64{2, 8, 14, 26} {
		fmt.Printf("%.0f m/s: %.0f W\n", wind, turbine.PowerW(wind, 0, 15))
	}
	// Output:
	// 2 m/s: 0 W
	// 8 m/s: 1371 W
	// 14 m/s: 5000 W
	// 26 m/s: 0 W
}
