// Package socket is the agent's door on its own machine: a Unix socket on which who
// may read the agent's data directory asks one thing and gets one answer.
//
// A request is one line of JSON, and so is the answer; then the connection ends. The
// socket has mode 0600 from the moment it exists, so it belongs to the agent's user
// and to root. Who speaks is what the request says: on this machine there is no one
// else to ask.
//
// # The caller's duties
//
// Hold the lock of the data directory first (the outbox has it): [Listen] replaces the
// socket that a killed agent left. Call Close at the end; it removes the socket.
//
// # What was refused
//
//   - A port on loopback: every user of the machine could speak.
//   - gRPC or HTTP: one line each way needs neither, and the agent stays small.
package socket
