// Command cometbft measures CometBFT and four data aggregators beside each other,
// in one run on one machine, and prints records a second, the quantiles of the time
// to final, and the ratios:
//
//	make bench-anchor
//
// # What is measured
//
// Both sides are four members in a process of their own that talk over TCP on loopback,
// encrypted and authenticated, and sync their logs and blocks to the disk. Both get
// the same number of records of the same size from one sender in the process, each
// record at the next member in turn. A record counts as final when the last of the
// four has stored its block. In a first run 2,000 records are in flight; in a second
// one the sender keeps to half the rate that the first one reached.
//
// Ours checks an ed25519 signature of each record at each member and runs the rules
// of the ledger. CometBFT runs its example application kvstore in memory, which
// checks no signature and writes nothing to the disk.
//
// CometBFT is measured twice: with its defaults, and tuned (see tuned in
// validators.go). The ratios are to the tuned one.
//
// # Design
//
// The command has a module of its own, so that nothing of CometBFT comes near the
// programs or their list of dependencies, and so that each side is built with the
// versions that it asks for. Our side is BenchmarkAnchor of fairwatt/aggregator, in
// a test program that is built before anything is measured. The rule of the load is the same on both sides, not its code.
//
// # Source
//
// CometBFT v1.0.1, https://github.com/cometbft/cometbft.
package main
