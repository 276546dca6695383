package scenario

import (
	"bytes"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"fairwatt/model"
	"fairwatt/model/trace"
)

func mustNew(t *testing.T, o Options) *trace.Trace {
	t.Helper()
	tr, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// checkCoherent checks what physics demands of every row.
func checkCoherent(t interface {
	Helper()
	Fatalf(string, ...any)
}, tr *trace.Trace,
) {
	t.Helper()
	energy := math.NaN()
	var lastMs int64
	for i := range tr.Rows {
		s := &tr.Rows[i].Sample
		v := func(c model.Channel) float64 {
			x, ok := s.Get(c)
			if !ok {
				t.Fatalf("row %d: %s is %v (%s)", i, c, s.Values[c], s.Validity[c])
			}
			return x
		}
		if dew := dewPointC(v(model.TemperatureC), v(model.HumidityPct)); dew > v(model.TemperatureC)+0.01 {
			t.Fatalf("row %d: dew point %v over %v", i, dew, v(model.TemperatureC))
		}
		if v(model.WindGustMPS) < v(model.WindSpeedMPS) {
			t.Fatalf("row %d: gust below mean", i)
		}
		begin, end := time.UnixMilli(s.TimeMs).Add(-time.Duration(tr.Meta.IntervalS)*time.Second), time.UnixMilli(s.TimeMs)
		if sinElevation(begin, latitude, longitude) <= 0 && sinElevation(end, latitude, longitude) <= 0 && v(model.IrradianceWPM2) != 0 {
			t.Fatalf("row %d: %v W/m2 at night", i, v(model.IrradianceWPM2))
		}
		power, product := v(model.PowerW), v(model.VoltageV)*v(model.CurrentA)*v(model.PowerFactor)
		if tr.Rows[i].Labels[LabelSensor] == 1 { // the meter's power is wrong: the true one follows from the rest
			power = product
		}
		if math.Abs(power-product) > 0.02*power+0.2 {
			t.Fatalf("row %d: %v W, but V*I*pf = %v", i, power, product)
		}
		if dc := v(model.DCVoltageV) * v(model.DCCurrentA); power > dc+0.5 {
			t.Fatalf("row %d: %v W out of %v W DC", i, power, dc)
		}
		if i > 0 {
			energy += power * float64(s.TimeMs-lastMs) / 3.6e6
			drifted := slices.Contains(tr.Labels, LabelSensor)
			if !drifted && math.Abs(v(model.EnergyExportWh)-energy) > 0.01 {
				t.Fatalf("row %d: register %v Wh, integral of power %v", i, v(model.EnergyExportWh), energy)
			}
		} else {
			energy = v(model.EnergyExportWh)
		}
		if (v(model.RainMM) > 0) != (v(model.Raining) == 1) {
			t.Fatalf("row %d: rain and raining disagree", i)
		}
		lastMs = s.TimeMs
	}
}

func TestEveryScenarioIsCoherent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := DefaultOptions(rapid.SampledFrom(Names()).Draw(t, "name"), rapid.Uint64().Draw(t, "seed"))
		o.Interval = rapid.SampledFrom([]time.Duration{time.Minute, 10 * time.Minute, time.Hour}).Draw(t, "interval")
		o.Span = time.Duration(rapid.IntRange(6, 72).Draw(t, "hours")) * time.Hour
		o.Plant.Kind = rapid.SampledFrom([]PlantKind{PV, Wind}).Draw(t, "plant")
		tr, err := New(o)
		if err != nil {
			t.Fatalf("%v", err)
		}
		checkCoherent(t, tr)
	})
}

// TestCalmDayHasNoHazard is the control: no threshold of a rule is met.
func TestCalmDayHasNoHazard(t *testing.T) {
	for seed := range uint64(20) {
		tr := mustNew(t, DefaultOptions(Calm, seed))
		for i := range tr.Rows {
			s := &tr.Rows[i].Sample
			pu, hz := s.Values[model.VoltageV]/230, s.Values[model.FrequencyHz]
			if s.Values[model.WindGustMPS] >= 18 || pu < 0.95 || pu > 1.05 || hz < 49.8 || hz > 50.2 ||
				s.Values[model.EquipmentTemperatureC] > 65 || s.Values[model.LightningCount] > 0 {
				t.Fatalf("seed %d, row %d is not calm", seed, i)
			}
		}
	}
}

// TestSquallHasItsSignature looks for what a squall rule looks for: within 15
// minutes +1 hPa, -3 K and a gust that rises by 8 m/s; then rain and lightning.
func TestSquallHasItsSignature(t *testing.T) {
	for seed := range uint64(20) {
		rows := mustNew(t, DefaultOptions(Squall, seed)).Rows
		at := func(i int, c model.Channel) float64 { return rows[i].Sample.Values[c] }
		found, gust, flashes, firstRain := -1, 0.0, 0.0, -1
		for i := 15; i < len(rows); i++ {
			gust, flashes = max(gust, at(i, model.WindGustMPS)), flashes+at(i, model.LightningCount)
			if found < 0 && at(i, model.PressureHPa)-at(i-15, model.PressureHPa) >= 1 &&
				at(i, model.TemperatureC)-at(i-15, model.TemperatureC) <= -3 &&
				at(i, model.WindGustMPS) >= 11 && at(i, model.WindGustMPS)-at(i-15, model.WindGustMPS) >= 8 {
				found = i
			}
			if firstRain < 0 && at(i, model.RainMM) > 0 {
				firstRain = i
			}
			// No faster than a sensor may be believed.
			if math.Abs(at(i, model.TemperatureC)-at(i-1, model.TemperatureC)) > 5 ||
				math.Abs(at(i, model.PressureHPa)-at(i-1, model.PressureHPa)) > 2 ||
				math.Abs(at(i, model.HumidityPct)-at(i-1, model.HumidityPct)) > 20 {
				t.Errorf("seed %d, row %d: too fast to be plausible", seed, i)
			}
		}
		if found < 0 || gust < 26 || gust > 45 || flashes == 0 || firstRain < found-3 {
			t.Errorf("seed %d: signature at %d, gust %v, %v flashes, rain at %d", seed, found, gust, flashes, firstRain)
		}
	}
}

func TestSagIsSeenAtEveryInterval(t *testing.T) {
	for _, interval := range []time.Duration{10 * time.Second, time.Minute, 10 * time.Minute, time.Hour} {
		o := DefaultOptions(Sag, 3)
		o.Interval = interval
		low, run := 0, 0
		tr := mustNew(t, o)
		for _, r := range tr.Rows {
			pu := r.Sample.Values[model.VoltageV] / 230
			if pu < 0.88 {
				run++
				low = max(low, run)
			} else {
				run = 0
			}
			if (pu < 0.9) != (r.Labels[LabelLine] == 1) {
				t.Errorf("%v: label and voltage disagree", interval)
			}
			if a := r.Sample.Values[model.CurrentA]; a > 1.1*o.Plant.RatedCurrentA() {
				t.Errorf("%v: %v A over the rating", interval, a)
			}
		}
		if low < 3 {
			t.Errorf("%v: %d low rows in a row, want 3 or more", interval, low)
		}
		checkCoherent(t, tr)
	}
}

// TestStormHourly is what a grid at 3600 times real time needs: fair weather
// for a day before the gale and for half a day after it.
func TestStormHourly(t *testing.T) {
	for seed := range uint64(20) {
		o := DefaultOptions(Storm, seed)
		o.Interval, o.Span = time.Hour, 96*time.Hour
		rows := mustNew(t, o).Rows
		peak, severe := 0, 0
		for i := range rows {
			if rows[i].Sample.Values[model.WindGustMPS] > rows[peak].Sample.Values[model.WindGustMPS] {
				peak = i
			}
			if g := rows[i].Sample.Values[model.WindGustMPS]; g >= 25.7 {
				severe++
				if i < 26 || i > 82 {
					t.Errorf("seed %d: severe gust in row %d", seed, i)
				}
			}
		}
		if peak < 40 || peak > 64 || severe < 5 {
			t.Errorf("seed %d: peak in row %d, %d severe hours", seed, peak, severe)
		}
	}
}

func TestSameOptionsSameBytes(t *testing.T) {
	var a, b, c bytes.Buffer
	o := DefaultOptions(Squall, 7)
	for _, w := range []io.Writer{&a, &b} {
		if err := Write(w, o); err != nil {
			t.Fatal(err)
		}
	}
	if err := Write(&c, DefaultOptions(Squall, 8)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) || bytes.Equal(a.Bytes(), c.Bytes()) {
		t.Error("bytes do not follow from the options alone")
	}
	tr, err := trace.Read(&a, trace.Options{})
	if err != nil || len(tr.Rows) != 1440 || !tr.Meta.Simulated {
		t.Errorf("read back: %v", err)
	}
}

func TestBadOptionsAreNamed(t *testing.T) {
	for want, change := range map[string]func(*Options){
		"no scenario":     func(o *Options) { o.Name = "tornado" },
		"interval 0s":     func(o *Options) { o.Interval = 0 },
		"a span of":       func(o *Options) { o.Span = 0 },
		"plant kind":      func(o *Options) { o.Plant.Kind = "hydro" },
		"plant rated":     func(o *Options) { o.Plant.RatedW = math.NaN() },
		"nominal voltage": func(o *Options) { o.Plant.NominalVoltageV = -230 },
		"nominal frequ":   func(o *Options) { o.Plant.NominalFrequencyHz = 55 },
		"start ":          func(o *Options) { o.Start = time.Time{} },
	} {
		o := DefaultOptions(Calm, 1)
		change(&o)
		if err := Write(io.Discard, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

func TestPlantCurves(t *testing.T) {
	wind, pv := DefaultPlant(Wind), DefaultPlant(PV)
	for _, c := range []struct {
		plant               Plant
		wind, irr, temp     float64
		atLeastW, lessThanW float64
	}{
		{wind, 2.9, 0, 15, 0, 1e-9},
		{wind, 6, 0, 15, 400, 600},
		{wind, 13, 0, 15, 5000, 5001},
		{wind, 25, 0, 15, 5000, 5001},
		{wind, 25.1, 0, 15, 0, 1e-9},
		{pv, 2, 0, 15, 0, 1e-9},
		{pv, 2, 1000, 0, 4700, 5001},
		{pv, 2, 1000, 35, 3900, 4500}, // hot cells give less
	} {
		if p := c.plant.PowerW(c.wind, c.irr, c.temp); p < c.atLeastW || p >= c.lessThanW {
			t.Errorf("%s at %v m/s, %v W/m2, %v C: %v W", c.plant.Kind, c.wind, c.irr, c.temp, p)
		}
	}
}

// TestComposeKeepsWhatWasRecorded composes a recording with a gap.
func TestComposeKeepsWhatWasRecorded(t *testing.T) {
	const text = "# fairwatt-trace: 1\n# interval_s: 3600\ntime,temperature_c,wind_speed_mps,voltage_v\n" +
		"2021-07-18T00:00:00Z,20,8,231\n2021-07-18T01:00:00Z,20,,\n2021-07-18T02:00:00Z,20,9,229\n"
	tr, err := trace.Read(strings.NewReader(text), trace.Options{})
	if err != nil {
		t.Fatal(err)
	}
	out, err := Compose(tr, DefaultPlant(Wind))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(out.Meta.Composed, ","); strings.Contains(got, "voltage_v,current") || !strings.Contains(got, "power_w") {
		t.Errorf("composed: %s", got)
	}
	if v, ok := out.Rows[0].Sample.Get(model.VoltageV); !ok || v != 231 {
		t.Errorf("recorded voltage became %v", v)
	}
	for _, c := range []model.Channel{model.VoltageV, model.PowerW, model.WindSpeedMPS} {
		if _, ok := out.Rows[1].Sample.Get(c); ok {
			t.Errorf("%s was made up in the gap", c)
		}
	}
	if _, ok := tr.Rows[0].Sample.Get(model.PowerW); ok || len(tr.Channels) != 3 {
		t.Error("the recording was changed")
	}
	if _, err := Compose(tr, DefaultPlant(PV)); err == nil || !strings.Contains(err.Error(), "irradiance_wpm2") {
		t.Errorf("PV without irradiance: %v", err)
	}
}

// TestComposeRecordings puts both plants into the recordings, where they are.
func TestComposeRecordings(t *testing.T) {
	shared := os.Getenv("FAIRWATT_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "..", "..", "shared")
	}
	files, err := filepath.Glob(filepath.Join(shared, "data", "replay", "*.csv"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skip("no recordings in " + shared)
	}
	for _, file := range files {
		tr, err := trace.ReadFile(file, trace.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range []PlantKind{PV, Wind} {
			out, err := Compose(tr, DefaultPlant(kind))
			if err != nil {
				t.Fatal(err)
			}
			last := 0.0
			for i := range out.Rows {
				s := &out.Rows[i].Sample
				pu := s.Values[model.VoltageV] / 230
				if pu < 0.95 || pu > 1.05 || s.Values[model.CurrentA] > 1.05*DefaultPlant(kind).RatedCurrentA() {
					t.Fatalf("%s row %d: an electrical hazard was made up", file, i)
				}
				last = max(last, s.Values[model.EnergyExportWh])
			}
			if last < 1000 {
				t.Errorf("%s: a %s plant gave %v Wh", file, kind, last)
			}
			t.Logf("%s: %s %.0f kWh in %d rows", filepath.Base(file), kind, last/1000, len(out.Rows))
		}
	}
}

// dewPointC is humidityPct the other way round.
func dewPointC(temperatureC, humidityPct float64) float64 {
	g := math.Log(humidityPct/100) + 17.62*temperatureC/(243.12+temperatureC)
	return 243.12 * g / (17.62 - g)
}
