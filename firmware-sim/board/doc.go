// Package board simulates a sensor board at register level: chips behind
// i2c.Bus and pulse pins behind gpio, measuring a world that a trace describes.
// Drivers do not know: they write the same bytes and get the same bytes back.
//
//	BME280   calibration block and raw values by inverse compensation
//	INA219   configuration, calibration, ready and overflow bits, saturation
//	ADS1115  single and continuous conversions of a synthesised AC waveform
//	pulses   a cup anemometer, and energy meters' S0 outputs
//
// # The world
//
// [Board.Feed] sets the physical world; it stays until the next Feed. What is
// not valid in the sample is not there: a chip none of whose quantities are in
// the world does not acknowledge, so that a gap in a trace becomes a sensor
// fault, never a plausible number. Where some are there, the missing one reads
// as the chip would show it: BME280 as "skipped", an ADS1115 input as driven to
// the rail. An INA219 needs both its quantities. An anemometer without wind
// speed in the world gives an error. Two defaults remain: a line voltage
// without a frequency has the nominal one, and a wind without a gust has none.
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
// value, a stuck status bit, a wrong chip id, a slow bus.
//
// # Over a socket
//
// [Serve] gives the buses away on a listener, [Dial] takes them; the messages
// are in simbus.proto. The socket is not authenticated: it carries simulated
// values for a test bench. Listen on loopback or a network of your own.
//
// A Board is safe for concurrent use.
package board
