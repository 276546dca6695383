// Package systemd tells the service manager how a program is: ready, alive, stopping.
//
// # What a caller does
//
// Call [New] with os.Getenv, then [Notifier.Tell]. Without systemd both do nothing.
// Whoever kicks the watchdog (WATCHDOG=1) does it after work that would stall in a
// hung program, never from a timer of its own.
//
// # Design
//
// The protocol is one datagram a state, sd_notify(3). A library was refused: it is as
// long, and has no deadline for a manager that does not read.
package systemd
