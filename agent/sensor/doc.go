// Package sensor turns the registers and pulses of sensor chips into the
// channels of a [model.Sample]. One file a chip:
//
//	bme280      temperature, humidity, pressure        Bosch BST-BME280-DS002
//	ina219      DC voltage and current                 TI SBOS448G
//	ads1115     AC voltage, current, frequency         TI SBAS444D
//	anemometer  mean wind and 3-s gust from pulses     WMO-No. 8, part I, chapter 5
//	s0          energy register from meter pulses      IEC 62053-31
//
// The package knows periph's conn interfaces only. Opening real buses is the
// application's business: it hands in a [Buses], made of a Pi's /dev/i2c-* and
// GPIO lines, of a simulated board, or of a board behind a socket. The same
// driver code runs on all three.
//
// # The caller's duties
//
//   - A [Sensor] belongs to one goroutine; Read and Halt are not to be called
//     at once.
//   - New does not touch the chip. The first Read identifies and configures it,
//     and so does the first Read after an error, so that a chip that was
//     unplugged, or lost its settings with its supply, comes back by itself.
//   - Read marks every channel of the sensor in the sample, [model.Sample.Set]
//     or [model.Sample.Fail], whatever it returns: an error never leaves an old
//     value standing.
//   - The S0 register is in memory: persist [S0.EnergyWh] and hand it back with
//     [S0.RestoreRegister].
//
// # Time
//
// Drivers never call the time package directly but the [Clock] of the Buses,
// when it has one. A simulated board advances its own clock when a driver
// sleeps, so 200 ms of mains are sampled in a millisecond of wall time and the
// samples fall on the same instants on every machine. Without a Clock the
// system's monotonic clock is used and sleeps are real.
//
// Every wait is bounded in two ways, by the clock and by a number of polls. A
// stuck status bit gives [ErrNotReady], never a hang, and needs no goroutine to
// watch it. What can not be bounded here is one transfer on a hardware bus: the
// kernel's adapter timeout (1 s by default) does that.
//
// # Why not the drivers of periph/devices
//
// bmxx80 polls a status bit for ever with its mutex held, so a guard around it
// leaks a goroutine for each stuck chip and can never halt it; ina219 fixes the
// 16 V range, never looks at the conversion-ready bit and drops the causes of
// errors; ads1x15 sleeps a nominal conversion time without checking that the
// conversion is done, and its continuous mode can deadlock on Halt. The drivers
// here are small enough to be checked byte by byte, and the tests read the same
// simulated chips through periph's drivers as an independent check.
//
// # What an ADS1115 can not tell
//
// It has one converter behind a multiplexer: voltage and current are sampled
// one after the other, so their product is not active power and no power_w is
// given. Energy and power come from a meter. At 860 samples a second there are
// at best 17 samples a cycle: RMS and frequency are sound, harmonics are not
// reported. Its filter droops by about half a per cent at 50 Hz; the channel's
// scale, calibrated at mains frequency, absorbs that.
//
// # Wind
//
// wind_speed_mps is the mean since the last Read, or over the configured
// window (10 s) if that is longer; wind_gust_mps is the largest running 3-s
// mean in the same period. Rules that want the 10-minute mean form it
// themselves.
package sensor
