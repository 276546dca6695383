// Package sunspec simulates an inverter and a weather station behind SunSpec
// Modbus TCP: the register map of models 1, 101 to 103, 111 to 113, 307 and 701
// with the numbers of a world that a trace describes.
//
// [Device.Feed] sets the world; what is not valid in the sample reads as "not
// implemented". Scale factors are chosen with each Feed as fine as the register
// allows, so that they change while the device runs, as they do on real ones:
// a reader has to fetch them with the data.
//
// [Device.Inject] makes the device misbehave in one of the ways that real ones
// do. It answers function 3 only; every other function is refused and counted
// ([Device.Refused]), so that a test can tell that nobody tried to write.
//
// The offsets are from the models published by the SunSpec Alliance
// (github.com/sunspec/models); they are written down here a second time, apart
// from the agent's reader, so that each checks the other.
//
// The server is not authenticated, as Modbus is not: listen on loopback or a
// network of your own.
package sunspec
