// Command gridcheck runs the whole system on this machine with one kind of
// trouble after another and checks the reports. It also alters an export of a
// chain, which must then be refused. It exits with 1 if a claim does not hold.
//
// # The caller's duties
//
// Run it from the repository's root after `make build`. It starts firmware-sim and
// aggregator on loopback ports and takes some minutes.
//
// # Design
//
// A table of scenarios has the arguments of each run and its claims, in words that
// the output repeats. Claims about every run (money and energy conserved, the
// chain verified) are written once. Of a failed run's log only the end is shown.
//
// # Source
//
// The report's names are those that `firmware-sim grid --report` writes.
package main
