package sensor

import "fairwatt/model"

// StandardConfigs are the sensors of the standard board: a weather chip, a DC
// shunt with a 25:1 divider, the mains through a transformer and a clamp, an
// anemometer, and meters for export and import.
func StandardConfigs() []Config {
	return []Config{
		{Kind: KindBME280, Address: 0x76},
		{Kind: KindINA219, Address: 0x40, Opts: INA219Opts{ShuntOhm: 0.0015, VoltageScale: 25}},
		{Kind: KindADS1115, Address: 0x48, Opts: ADS1115Opts{Inputs: []InputConfig{
			{Channel: model.VoltageV, Input: "0-1", Scale: 325},
			{Channel: model.CurrentA, Input: "2-3", Scale: 100},
		}}},
		{Kind: KindAnemometer, Opts: AnemometerOpts{Pin: "ANEMO"}},
		{Kind: KindS0, Opts: S0Opts{Pin: "S0-1", Direction: "export"}},
		{Kind: KindS0, Opts: S0Opts{Pin: "S0-2", Direction: "import"}},
	}
}
