// Package board simulates a sensor board at register level: chips behind
// i2c.Bus, pulse pins behind gpio and meters on serial lines, measuring a world
// that a trace describes.
// Drivers do not know: they write the same bytes and get the same bytes back.
//
//	BME280   calibration block and raw values by inverse compensation
//	INA219   configuration, calibration, ready and overflow bits, saturation
//	ADS1115  single and continuous conversions of a synthesised AC waveform
//	TMP102   one-shot and continuous conversions, both formats
//	SHT4x    commands, busy times, checksums
//	AS3935   strokes, disturbers, noise, statistics, calibration, IRQ
//	PZEM     Modbus RTU on a serial line, several meters to a line
//	pulses   a cup anemometer, a tipping bucket, energy meters' S0 outputs
//
// # The world
//
// [Board.Feed] sets the physical world; it stays until the next Feed. What is
// not valid in the sample is not there: a chip none of whose quantities are in
// the world does not acknowledge, so that a gap in a trace becomes a sensor
// fault, never a plausible number. Where some are there, the missing one reads
// as the chip would show it: BME280 as "skipped", an ADS1115 input as driven to
// the rail. An INA219 and an SHT4x need both their quantities, a PZEM voltage
// and current, and 60 V to live on. An anemometer without wind speed and a rain
// gauge without rain_mm in the world give an error. An AS3935 stays: a world
// without lightning in it is one without strokes. Defaults remain: a line
// voltage without a frequency has the nominal one, a wind without a gust has
// none, power and power factor of a PZEM follow from each other.
//
// rain_mm and lightning_count are amounts of a sample's whole time. They flow
// from the Feed on, for as long as the step from the sample before it was, and
// what is left at the next Feed is added to that; a sample that is fed twice, or
// repeats an older reading, adds nothing.
//
// # Time
//
// The board has a clock of its own and starts nothing: no goroutine, no timer.
// [Board.Advance] lets time pass, from milliseconds to weeks a call. A driver
// that sleeps moves the clock ahead at once ([Board.Sleep]), and the next
// Advance counts that time as already passed; over a run, time is the sum of
// the Advances as long as drivers sleep less than that. All readings depend on
// this clock only, so a run gives the same bytes at every speed.
//
// The order of one step is Feed, Advance, read: pulses made in a span of time
// follow the world that was fed before it.
//
// # Pulses
//
// Pulses are numbers, not events: a counter and counts per 250 ms, kept for an
// hour (sensor.Counters). Gusts are bursts of 3 s at fixed moments of the
// board's clock; between them the wind is as much lower as keeps the mean.
// [Board.AddEnergyWh] collects fractions until they make a whole pulse, and
// meters may follow power_w by themselves. Pins also give edges in real time,
// for code that knows nothing of counters.
//
// # Faults
//
// [Board.Inject] breaks one part, [Board.Remove] mends it: no answer, a stuck
// value, a stuck status bit (of an AS3935: a cut IRQ wire and a calibration that
// does not end), a wrong chip id, a slow bus, garbled answers, noise and
// disturbers around an AS3935. While an AS3935 gives no answer it has no supply:
// it comes back uncalibrated and with the settings of its reset.
//
// # What is made up
//
// How many strokes and disturbers an AS3935 hears is our model: 2 % of strokes
// and 4.5 % of disturbers are lost for each step of WDTH and SREJ. Its antenna
// changes by 0.6 % a step of its capacitors. No field test of the chip that we
// know gives better numbers.
//
// # Over a socket
//
// [Serve] gives the buses away on a listener, [Dial] takes them; the messages
// are in simbus.proto. The socket is not authenticated: it carries simulated
// values for a test bench. Listen on loopback or a network of your own.
//
// A Board is safe for concurrent use.
package board
