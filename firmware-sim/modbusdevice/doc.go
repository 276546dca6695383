// Package modbusdevice simulates the Modbus meters and sensors of configs/meters: the
// registers of each with the numbers of a world that a sample describes, over Modbus
// TCP or as frames of a serial line.
//
// # What a caller must do
//
//  1. Feed the device: [Device.Feed] sets the world. A quantity that is not valid in
//     the sample reads as the maker's sign for it, or as zero where he has none.
//  2. Listen on loopback or a closed network: Modbus knows no password.
//
// # Design
//
// A device has the registers of its table and no other: a read that touches one in
// between is refused with exception 2, as by the strictest of real devices. It
// answers reads only, and counts what else it is asked ([Device.Refused]).
//
// # Source
//
// The tables are written from the makers' documents in their own numbering, not from
// the agent's maps, so that each checks the other. Each table names its document.
package modbusdevice
