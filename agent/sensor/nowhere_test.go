package sensor

import (
	"maps"
	"slices"
	"testing"

	"fairwatt/model"
)

// Every kind says its channels without hardware, the same as with it.
func TestChannelsWithoutHardware(t *testing.T) {
	voltage := []InputConfig{{Channel: model.VoltageBV, Input: "0-1", Scale: 325}}
	opts := map[string]Opts{
		KindADS1115:    ADS1115Opts{Inputs: voltage, ReadyPin: "RDY"},
		KindAnemometer: AnemometerOpts{Pin: "P"}, KindS0: S0Opts{Pin: "P", Direction: "import"}, KindRain: RainOpts{Pin: "P"},
		KindAS3935: AS3935Opts{IRQPin: "P"}, KindPZEM: PZEMOpts{Port: "P", Phase: "b"},
		KindModbus:  ModbusOpts{Map: "kipp-zonen-smp", Port: "P"},
		KindMQTT:    MQTTOpts{Topic: "t", Values: []ValueConfig{{Channel: model.PowerW}}},
		KindSysfs:   SysfsOpts{Files: []FileConfig{{Channel: model.TemperatureC, Path: "/sys/a"}}},
		KindSunSpec: SunSpecOpts{Endpoint: "192.0.2.1:502", Channels: []model.Channel{model.PowerW}},
	}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		cfg := Config{Kind: kind, Opts: opts[kind]}
		got, err := cfg.Channels()
		if err != nil || len(got) == 0 {
			t.Errorf("%s: %v, %v", kind, got, err)
		}
	}
	for kind, want := range map[string][]model.Channel{
		KindADS1115: {model.VoltageBV, model.FrequencyHz}, KindS0: {model.EnergyImportWh}, KindSunSpec: {model.PowerW},
		KindModbus: {model.IrradianceWPM2},
		KindAS3935: {model.LightningKM, model.LightningCount},
	} {
		if got, _ := (Config{Kind: kind, Opts: opts[kind]}).Channels(); !slices.Equal(got, want) {
			t.Errorf("%s gives %v, want %v", kind, got, want)
		}
	}
	if _, err := (Config{Kind: "radar"}).Channels(); err == nil {
		t.Error("a kind that does not exist has channels")
	}
}
