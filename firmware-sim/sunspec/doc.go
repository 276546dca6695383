// Package sunspec simulates an inverter, a meter and a weather station behind SunSpec
// Modbus TCP: the register map of models 1, 101 to 103, 111 to 113, 160, 201 to 204,
// 302, 307 and 701 with the numbers of a world that a trace describes.
//
// # What a caller must do
//
//  1. Feed the device before a reader connects: [Device.Feed] sets the world. A
//     quantity that is not valid in the sample reads as "not implemented".
//  2. Listen on loopback or a closed network: the server is not authenticated, as
//     Modbus is not.
//
// # Design
//
// Each Feed sets the scale factors as fine as the registers allow, so that they
// change while the device runs, as on real devices: a reader must fetch them with
// the data.
//
// [Device.Inject] makes the device misbehave like real ones. The device answers
// function 3 only. It refuses and counts every other function
// ([Device.Refused]), so that a test can tell that no client tried to write.
//
// # Source
//
// The offsets are from the models published by the SunSpec Alliance
// (github.com/sunspec/models). The agent's reader has its own copy, so that each
// checks the other.
package sunspec
