// Package simbus is an agent's end of a simulated board: the buses behind
// bus: sim://HOST:PORT in its configuration, and the framing that both ends of
// the socket speak.
//
// [Client] implements the buses, clock and counters of package sensor over the
// socket. The board itself, with its chips, is firmware-sim's, which imports
// this package and not the other way round.
//
// # What is promised
//
//   - Errors are the same on both sides of the socket, for errors.Is and
//     errors.As: no chip answers ([NotAcknowledgedError]), no such pin, no such
//     port, a timeout.
//   - The clock never goes back, though the board be restarted.
//   - After a broken exchange the next call dials again.
//   - A frame has at most [MaxFrameBytes]; either end cuts the connection at a
//     larger one.
//
// # The caller's duties
//
// Close the client. Expect each exchange to take up to 10 s when the board is
// gone. A sleep costs no exchange: the client owes it to the board and hands it
// over with the next request.
//
// # Design
//
// A frame is a length of four bytes, big-endian, and a protobuf message of
// simbus.proto. gRPC was refused: the agent would link 5.7 MB more for a test
// device.
package simbus
