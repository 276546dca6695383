package model

// QualityLimits are the thresholds of the power-quality rules E03 and E05 to
// E07, the same for both grid profiles.
type QualityLimits struct {
	MeanHighPU             float64 `yaml:"mean_high_pu"`              // E03, 10-min mean of a phase
	MeanHighClearPU        float64 `yaml:"mean_high_clear_pu"`        // E03
	ROCOFHzPS              float64 `yaml:"rocof_hz_per_s"`            // E05, either direction
	ROCOFClearHzPS         float64 `yaml:"rocof_clear_hz_per_s"`      // E05
	ROCOFWindowS           float64 `yaml:"rocof_window_s"`            // E05; needs readings at least this often
	ROCOFHoldS             float64 `yaml:"rocof_hold_s"`              // E05
	UnbalanceWarnPct       float64 `yaml:"unbalance_warn_pct"`        // E06, 10-min mean
	UnbalanceBlockPct      float64 `yaml:"unbalance_block_pct"`       // E06, 1-min mean
	UnbalanceHysteresisPct float64 `yaml:"unbalance_hysteresis_pct"`  // E06
	THDWarnPct             float64 `yaml:"thd_warn_pct"`              // E07, 10-min mean
	THDClearPct            float64 `yaml:"thd_clear_pct"`             // E07
	PersistN               int     `yaml:"persist_readings"`          // E01, E04: of the last...
	PersistM               int     `yaml:"persist_of"`                // ...so many, at one a second
	TemperatureN           int     `yaml:"temperature_persist_times"` // E13: consecutive readings
}

// EarthLimits are the thresholds of the rules E09, E10 and E12, all of which
// latch by default.
type EarthLimits struct {
	LeakageWarnMA        float64 `yaml:"leakage_warn_ma"`        // E09, a warning
	LeakageLimitMA       float64 `yaml:"leakage_limit_ma"`       // E09, continuous
	LeakageStepMA        float64 `yaml:"leakage_step_ma"`        // E09, a rise...
	LeakageStepS         float64 `yaml:"leakage_step_s"`         // ...within this time; slower readings show none
	LeakageHoldS         float64 `yaml:"leakage_hold_s"`         // E09
	InsulationMinKOhm    float64 `yaml:"insulation_min_kohm"`    // E10; at least max_dc_voltage_v / 30 mA
	InsulationClearRatio float64 `yaml:"insulation_clear_ratio"` // E10, of the minimum
	InsulationHoldS      float64 `yaml:"insulation_hold_s"`      // E10
	MaxDCVoltageV        float64 `yaml:"max_dc_voltage_v"`       // E12; 0: only reversed polarity is served
	ReversedDCV          float64 `yaml:"reversed_dc_v"`          // E12, below minus this
	DCHoldS              float64 `yaml:"dc_hold_s"`              // E12
}

// LightningLimits are the thresholds of W01 and W02.
type LightningLimits struct {
	NearKM         float64 `yaml:"near_km"`         // W01
	FarKM          float64 `yaml:"far_km"`          // W02, and what keeps W01 from clearing
	HoldS          float64 `yaml:"hold_s"`          // without a stroke within FarKM
	ConfirmStrikes int     `yaml:"confirm_strikes"` // W01 blocks at so many; 1: the detector is trusted alone
	ConfirmS       float64 `yaml:"confirm_s"`       // within this time, or one and a second witness
}

// CycloneLimits are the thresholds of W08.
type CycloneLimits struct {
	AnomalyHPa      float64 `yaml:"anomaly_hpa"`       // below the usual pressure of the hour, positive
	AnomalyClearHPa float64 `yaml:"anomaly_clear_hpa"` // positive
	MeanWindMPS     float64 `yaml:"mean_wind_mps"`     // Beaufort 6
	SetS            float64 `yaml:"set_s"`             // both for this long
	HoldS           float64 `yaml:"hold_s"`            // neither for this long: an eye passes in 20 to 60 min
	MinDays         int     `yaml:"min_days"`          // of past pressure
	MaxDays         int     `yaml:"max_days"`          // at most 30
	MaxLatitudeDeg  float64 `yaml:"max_latitude_deg"`  // on either side of the equator
}

// IcingLimits are the thresholds of W10.
type IcingLimits struct {
	LowC             float64 `yaml:"low_c"`
	HighC            float64 `yaml:"high_c"`
	HumidityPct      float64 `yaml:"humidity_pct"`
	SetS             float64 `yaml:"set_s"`
	ClearC           float64 `yaml:"clear_c"` // above, or drier than HumidityClearPct
	HumidityClearPct float64 `yaml:"humidity_clear_pct"`
	HoldS            float64 `yaml:"hold_s"`
	Block            bool    `yaml:"block"` // ice throw endangers; else it warns
}

// A Position is where the site is, in degrees north and east.
type Position struct {
	Latitude  float64 `yaml:"latitude"`
	Longitude float64 `yaml:"longitude"`
}

func defaultQuality() QualityLimits {
	return QualityLimits{
		MeanHighPU: 1.10, MeanHighClearPU: 1.08,
		ROCOFHzPS: 1, ROCOFClearHzPS: 0.5, ROCOFWindowS: 0.5, ROCOFHoldS: 60,
		UnbalanceWarnPct: 2, UnbalanceBlockPct: 5, UnbalanceHysteresisPct: 0.5,
		THDWarnPct: 8, THDClearPct: 7, PersistN: 3, PersistM: 5, TemperatureN: 3,
	}
}

func defaultEarth() EarthLimits {
	return EarthLimits{
		LeakageWarnMA: 150, LeakageLimitMA: 300, LeakageStepMA: 30, LeakageStepS: 1, LeakageHoldS: 300,
		InsulationMinKOhm: 33.3, InsulationClearRatio: 1.1, InsulationHoldS: 60, ReversedDCV: 10, DCHoldS: 60,
	}
}

func defaultLightning() LightningLimits {
	return LightningLimits{NearKM: 10, FarKM: 20, HoldS: 1800, ConfirmStrikes: 2, ConfirmS: 900}
}

func defaultCyclone() CycloneLimits {
	return CycloneLimits{
		AnomalyHPa: 5, AnomalyClearHPa: 3, MeanWindMPS: 10.8, SetS: 600, HoldS: 3600,
		MinDays: 3, MaxDays: 30, MaxLatitudeDeg: 35,
	}
}

func defaultIcing() IcingLimits {
	return IcingLimits{
		LowC: -10, HighC: 1.5, HumidityPct: 95, SetS: 1800,
		ClearC: 3, HumidityClearPct: 90, HoldS: 1800,
	}
}

// hazardFields are the ranges of the limits of this file.
func (c *Config) hazardFields() []field {
	const week = 7 * 86400
	q, e, l, y, i := &c.Quality, &c.Earth, &c.Lightning, &c.Cyclone, &c.Icing
	out := []field{
		{"quality.mean_high_pu", q.MeanHighPU, 0.5, 2},
		{"quality.mean_high_clear_pu", q.MeanHighClearPU, 0.5, 2},
		{"quality.rocof_hz_per_s", q.ROCOFHzPS, 0.01, 100},
		{"quality.rocof_clear_hz_per_s", q.ROCOFClearHzPS, 0, 100},
		{"quality.rocof_window_s", q.ROCOFWindowS, 0.1, 0.6}, // what the track of readings can hold
		{"quality.rocof_hold_s", q.ROCOFHoldS, 0, week},
		{"quality.unbalance_warn_pct", q.UnbalanceWarnPct, 0, 100},
		{"quality.unbalance_block_pct", q.UnbalanceBlockPct, 0, 100},
		{"quality.unbalance_hysteresis_pct", q.UnbalanceHysteresisPct, 0, 100},
		{"quality.thd_warn_pct", q.THDWarnPct, 0, 1000},
		{"quality.thd_clear_pct", q.THDClearPct, 0, 1000},
		{"quality.persist_of", float64(q.PersistM), 1, 8},
		{"quality.persist_readings", float64(q.PersistN), 1, 8},
		{"quality.temperature_persist_times", float64(q.TemperatureN), 1, 8},
		{"earth.leakage_warn_ma", e.LeakageWarnMA, 0, 1e5},
		{"earth.leakage_limit_ma", e.LeakageLimitMA, 0, 1e5},
		{"earth.leakage_step_ma", e.LeakageStepMA, 0.1, 1e5},
		{"earth.leakage_step_s", e.LeakageStepS, 0.01, 60},
		{"earth.leakage_hold_s", e.LeakageHoldS, 0, week},
		{"earth.insulation_min_kohm", e.InsulationMinKOhm, 0, 1e7},
		{"earth.insulation_clear_ratio", e.InsulationClearRatio, 1, 100},
		{"earth.insulation_hold_s", e.InsulationHoldS, 0, week},
		{"earth.max_dc_voltage_v", e.MaxDCVoltageV, 0, 2000},
		{"earth.reversed_dc_v", e.ReversedDCV, 0, 2000},
		{"earth.dc_hold_s", e.DCHoldS, 0, week},
		{"lightning.near_km", l.NearKM, 0, 100},
		{"lightning.far_km", l.FarKM, 0, 100},
		{"lightning.hold_s", l.HoldS, 0, week},
		{"lightning.confirm_strikes", float64(l.ConfirmStrikes), 1, 1000},
		{"lightning.confirm_s", l.ConfirmS, 0, 900}, // the length of the count of strokes
		{"cyclone.anomaly_hpa", y.AnomalyHPa, 0, 100},
		{"cyclone.anomaly_clear_hpa", y.AnomalyClearHPa, 0, 100},
		{"cyclone.mean_wind_mps", y.MeanWindMPS, 0, 150},
		{"cyclone.set_s", y.SetS, 0, week},
		{"cyclone.hold_s", y.HoldS, 0, week},
		{"cyclone.min_days", float64(y.MinDays), 1, baselineDays},
		{"cyclone.max_days", float64(y.MaxDays), 1, baselineDays},
		{"cyclone.max_latitude_deg", y.MaxLatitudeDeg, 0, 90},
		{"icing.low_c", i.LowC, -60, 65},
		{"icing.high_c", i.HighC, -60, 65},
		{"icing.clear_c", i.ClearC, -60, 65},
		{"icing.humidity_pct", i.HumidityPct, 0, 100},
		{"icing.humidity_clear_pct", i.HumidityClearPct, 0, 100},
		{"icing.set_s", i.SetS, 0, week},
		{"icing.hold_s", i.HoldS, 0, week},
	}
	if c.Position != nil {
		out = append(out, field{"position.latitude", c.Position.Latitude, -90, 90},
			field{"position.longitude", c.Position.Longitude, -180, 180})
	}
	return out
}

func (c *Config) hazardOrders() []order {
	q, e, l, y, i := &c.Quality, &c.Earth, &c.Lightning, &c.Cyclone, &c.Icing
	return []order{
		{"quality.mean_high_clear_pu", q.MeanHighClearPU, q.MeanHighPU},
		{"quality.rocof_clear_hz_per_s", q.ROCOFClearHzPS, q.ROCOFHzPS},
		{"quality.unbalance_warn_pct", q.UnbalanceWarnPct, q.UnbalanceBlockPct},
		{"quality.thd_clear_pct", q.THDClearPct, q.THDWarnPct},
		{"quality.persist_readings", float64(q.PersistN), float64(q.PersistM)},
		{"earth.leakage_warn_ma", e.LeakageWarnMA, e.LeakageLimitMA},
		{"lightning.near_km", l.NearKM, l.FarKM},
		{"cyclone.anomaly_clear_hpa", y.AnomalyClearHPa, y.AnomalyHPa},
		{"cyclone.min_days", float64(y.MinDays), float64(y.MaxDays)},
		{"icing.low_c", i.LowC, i.HighC},
		{"icing.high_c", i.HighC, i.ClearC},
		{"icing.humidity_clear_pct", i.HumidityClearPct, i.HumidityPct},
	}
}
