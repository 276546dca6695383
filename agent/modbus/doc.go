// Package modbus speaks Modbus as a master: it asks one device at a time, over a
// serial line (RTU) or a TCP connection.
//
// # What is promised
//
//   - An answer that is returned belongs to the request: checksum, device,
//     transaction, function and length have been compared.
//   - Every exchange ends in time, whatever the line says.
//   - No register is ever written. [WriteCoil] is the only request that changes
//     anything.
//
// # The caller's duties
//
//  1. Ask one request after the other on a line. Nothing here shares a port.
//  2. Close a serial port after [ErrPort], and a TCP connection after any error
//     but an [Exception]: what comes later would answer the wrong request.
//
// # Design
//
// A [Request] knows how long its answer is, since a serial line does not say
// where an answer ends. Ports and connections are handed in: the board, the
// simulated board and the tests each bring their own.
//
// Refused: a library. Those that are kept up open their ports themselves, and a
// simulated board has none to open.
//
// Sources: Modbus application protocol V1.1b3; Modbus over serial line V1.02;
// Modbus messaging on TCP/IP V1.0b.
package modbus
