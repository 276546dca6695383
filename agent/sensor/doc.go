// Package sensor turns the registers and pulses of sensor chips into the
// channels of a [model.Sample]. One file a chip:
//
//	bme280      temperature, humidity, pressure        Bosch BST-BME280-DS002
//	ina219      DC voltage and current                 TI SBOS448G
//	ads1115     AC voltage, current, frequency         TI SBAS444D
//	tmp102      temperature of equipment               TI SBOS397
//	sht4x       temperature, humidity, with checksums  Sensirion, datasheet 6.6
//	mcp9808     temperature of equipment               Microchip DS25095A
//	lm75        temperature of equipment               TI SNOS808P; TMP75 SBOS288
//	ds18b20     temperature, 1-Wire behind a DS2482     Maxim 19-7487, 19-4930
//	adxl345     vibration                              Analog Devices, rev. G
//	bh1750      irradiance, from daylight              ROHM, 2011.11 rev. D
//	as3935      lightning                              ams, datasheet 1-03
//	anemometer  mean wind and 3-s gust from pulses     WMO-No. 8, part I, chapter 5
//	rain        rain from a tipping bucket             WMO-No. 8, part I, chapter 6
//	s0          energy register from meter pulses      IEC 62053-31
//	pzem        AC values of a phase, Modbus RTU       Peacefair, PZEM-004T V3.0 manual
//	sunspec     inverters, meters and met stations, Modbus TCP SunSpec models 101-103, 111-113, 160, 201-204, 302, 307, 701
//	modbus      any device by a register map           Modbus V1.1b3; configs/meters
//	mqtt        messages of other devices              JSON pointers, RFC 6901
//	sysfs       files of the kernel's drivers          Linux, sysfs-class-hwmon, sysfs-bus-iio, w1_therm
//
// The package knows periph's conn interfaces only. Opening real buses is the
// application's business: it hands in a [Buses], made of a Pi's /dev/i2c-* and
// GPIO lines, of a simulated board, or of a board behind a socket. The same
// driver code runs on all three. Serial lines come from Buses that are
// [Serials]; SunSpec devices are dialled, by the Buses if they are [Dialers].
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
//   - The registers of meters are in memory: persist EnergyWh and, of a meter that
//     counts by itself, FaceWh; hand them back with RestoreRegister or RestoreFace.
//
// # Settings
//
// A [Config] has what every sensor has, and the [Opts] of its kind. A driver's file
// holds its Opts, as periph's drivers do: the struct says which keys the kind has,
// and withDefaults, place, check and open say the rest. A new chip is a new file
// and a line in kinds. Refused: one struct with the settings of all chips. It
// needs a table that says whose setting is whose, and the table forgets some.
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
// watch it. The driver can not bound one transfer on a hardware bus; the
// kernel's adapter timeout (1 s by default) does. Serial lines and
// connections have their own time limits, on the wall's clock where they are
// real: half a second an exchange on a line, [SunSpecOpts] Timeout on a network.
//
// # Why not the drivers of periph/devices
//
// bmxx80 polls a status bit for ever with its mutex held, so a guard around it
// leaks a goroutine for each stuck chip and can never halt it; ina219 fixes the
// 16 V range, never looks at the conversion-ready bit and drops the causes of
// errors; ads1x15 sleeps a nominal conversion time without checking that the
// conversion is done, and its continuous mode can deadlock on Halt; tmp102 drops
// the errors of reading its settings, so a missing chip is set up as if it were
// there, ends at 128 C, and warms its chip by converting all the time. sht4x,
// as3935, PZEM and SunSpec have none. The drivers here are small enough to be
// checked byte by byte, and the tests read the same simulated chips through
// periph's drivers as an independent check.
//
// # What an ADS1115 can not tell
//
// It has one converter behind a multiplexer: voltage and current are sampled
// one after the other, so their product is not active power and no power_w is
// given. Energy and power come from a meter. At 860 samples a second there are
// at best 17 samples a cycle: RMS and frequency are sound, harmonics are not
// reported. It averages over each conversion, which takes 0.56 % off a sine of
// 50 Hz and 0.80 % off one of 60 Hz; the driver puts that back.
//
// # A busy machine
//
// What happens at a pin has the time at which the kernel saw it ([EdgeLine]), not
// that at which this program came to look. Pulses are counted and bounces told
// apart by these times, and by their numbers those that a full queue lost. A
// window of an ADS1115 in which the machine was away for a quarter cycle begins
// again, or ends there if it holds half of its cycles.
//
// # Lightning
//
// An AS3935 takes inverters, displays and motors nearby for strokes too. The driver raises the noise floor and
// the rejection of disturbers as the chip asks for it and lowers them again by
// the hour; each step makes it deafer. Read fails with [ErrDegraded] while it is
// deaf all the same: from noise above the highest floor, or from disturbers, each
// of which silences it for 1.5 s. A deaf detector never says "no lightning". [AS3935.Health] counts false events by the hour. Asking for a
// second stroke or another witness is the judgement's business.
//
// lightning_km is the chip's estimate of the distance to the storm's edge. It is
// given with a stroke only. lightning_count 0 is the chip's sign of life: each
// Read compares its settings with what they should be. A chip that lost its supply
// and its calibration is found in this way and set up again.
//
// # Three phases
//
// Three PZEM with phase a, b and c, or two ADS1115 with inputs for voltage_a_v
// and so on, give the channels of the phases. There is no channel for the energy
// of one phase, and one frequency, taken from phase a.
//
// # SunSpec
//
// The reader looks for the marker at 40000, 0 and 50000, walks through all
// models, and reads those it knows; scale factors are fetched with the values
// each time, in one request. It sends nothing but function 3. Where two models
// give a channel the first counts; where a model has several temperatures the
// highest. Rain of model 307 is left out: its standard does not say since when.
//
// # Wind
//
// wind_speed_mps is the mean since the last Read, or over the configured
// window (10 s) if that is longer; wind_gust_mps is the largest running 3-s
// mean in the same period. Rules that want the 10-minute mean form it
// themselves.
package sensor
