// Package board simulates a sensor board at register level: chips behind
// i2c.Bus, pulse pins behind gpio and meters on serial lines. They measure a
// world that a trace describes. A driver sees no difference: it writes the same
// bytes and gets the same bytes back.
//
//	BME280   calibration block and raw values by inverse compensation
//	INA219   configuration, calibration, ready and overflow bits, saturation
//	ADS1115  single and continuous conversions of a synthesised AC waveform
//	TMP102   one-shot and continuous conversions, both formats
//	SHT4x    commands, busy times, checksums
//	MCP9808  continuous conversions, nothing yet after power-up
//	DS2482   a 1-Wire line with DS18B20: their numbers, memory, conversions
//	LM75     continuous conversions, its kin with up to 12 bits
//	ADXL345  its queue of samples of a vibrating machine
//	BH1750   one-time measurements, measuring times
//	AS3935   strokes, disturbers, noise, statistics, calibration, IRQ
//	PZEM     Modbus RTU on a serial line, several meters to a line
//	pulses   a cup anemometer, a tipping bucket, energy meters' S0 outputs
//	supply   a switch in the supply of the chips, on an output pin
//	relay    a contactor's coil on an output pin, its contact and its feedback
//
// # The world
//
// [Board.Feed] sets the physical world until the next Feed. The world lacks every
// quantity that is not valid in the sample. A chip without any of its quantities
// does not acknowledge, so that a gap in a trace becomes a sensor fault, never a
// plausible number. If a chip has some of them, the missing one reads as on the
// real chip: "skipped" on a BME280, driven to the rail on an ADS1115 input. An
// INA219 and an SHT4x need both their quantities. A PZEM needs voltage and
// current, and 60 V of supply. An anemometer without wind speed and a rain gauge
// without rain_mm give an error. An AS3935 answers always: a world without
// lightning has no strokes. There are defaults: a line voltage without a
// frequency has the nominal one, a wind without a gust has no gusts, and power
// and power factor of a PZEM follow from each other.
//
// rain_mm and lightning_count are amounts for a sample's whole time. They flow
// from the Feed on, for as long as the step from the sample before. The next Feed
// adds what is left to its own amount. A sample fed twice, or one that repeats an
// older reading, adds nothing.
//
// # Time
//
// The board has its own clock and starts nothing: no goroutine, no timer.
// [Board.Advance] lets time pass, from milliseconds to weeks a call. A driver
// that sleeps moves the clock ahead at once ([Board.Sleep]), and the next Advance
// counts that time as passed. Over a run, time is the sum of the Advances, as
// long as drivers sleep less. All readings depend on this clock only, so a run
// gives the same bytes at every speed.
//
// Keep to the order Feed, Advance, read: the pulses of a span of time follow the
// world fed before it.
//
// # Pulses
//
// Pulses are numbers, not events: a counter, and counts per 250 ms kept for an
// hour (sensor.Counters). Gusts are bursts of 3 s at fixed moments of the board's
// clock; between them the wind is lower, so that the mean stays.
// [Board.AddEnergyWh] collects fractions until they make a whole pulse, and a
// meter can follow power_w. Pins also give edges in real time, for code without
// counters.
//
// # Faults
//
// [Board.Inject] breaks one part, [Board.Remove] mends it. The faults: no answer,
// a stuck value, a stuck status bit (on an AS3935 a cut IRQ wire and a calibration
// that does not end), a wrong chip id, a slow bus, garbled answers, and noise and
// disturbers around an AS3935. An AS3935 that gives no answer has no supply: it
// comes back uncalibrated, with the settings of its reset.
//
// # The relay
//
// [Board.PinOut] drives a coil. The main contact follows after its pull-in or
// drop-out time on the board's clock, and its feedback moves with it. The relay
// writes every move down with both clocks ([Board.RelayLog]): it is the witness
// of when power could flow, whatever an agent says. Its faults are a welded
// contact, a coil that does not pull in, bounces, and a cut feedback wire.
//
// An output floats, and its relay drops out, when the connection that drove it
// last ends ([Serve]), however it ends: closed, reset, or its process killed. A
// pull-down resistor does so on a machine whose pins float at a reset. In one
// process [Board.ReleasePins] does it. A real GPIO line may keep its level when
// its process dies: docs/agent.md says what to do about that.
//
// # What is made up
//
// Our model decides how many strokes and disturbers an AS3935 hears: each step of
// WDTH and SREJ loses 2 % of strokes and 4.5 % of disturbers. Its antenna changes
// by 0.6 % a step of its capacitors. We know no field test of the chip with
// better numbers.
//
// # Over a socket
//
// [Serve] gives the buses away on a listener, [Dial] takes them; the messages
// are in simbus.proto. The socket is not authenticated: it carries simulated
// values for a test bench. Listen on loopback or a network of your own.
//
// A Board is safe for concurrent use.
package board
