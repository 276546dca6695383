// Package drive drives a contactor by a GPIO pin, or by a coil of a relay module
// on Modbus, and reads its feedback from another pin or a discrete input.
//
// # What is promised
//
//   - [New] de-energises the contactor before it does anything else, and so does
//     [Line.Halt].
//   - A Line is safe for concurrent use: a guard may open it while the loop that
//     owns it stands still.
//   - Feedback that cannot be read is an error, never a guess, where the pin can
//     tell.
//
// # The caller's duties
//
// Wire it so that de-energised means open, with a pull resistor that holds the
// coil's driver off while the pin floats. Nothing here can open a contactor that
// a dead process left closed: see docs/agent.md.
//
// # Design
//
// A relay module keeps its coil when its master falls silent, unless it has a
// watchdog of its own: so a coil that is told closed is written again with each
// reading of the feedback, and the module's watchdog can be set. One exchange
// takes 300 ms at most by default, and a connection that broke is opened again
// within the same command.
//
// Pins are periph's gpio.PinOut and gpio.PinIn, from the same buses that the
// sensors use ([Outputs] next to them), so that a simulated board serves as
// well.
package drive
