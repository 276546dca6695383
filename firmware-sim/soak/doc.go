// Package soak lets data aggregators run as processes under load while it kills,
// stops, cuts off and slows them, and then looks whether they kept their promises.
//
// # What a caller must do
//
//  1. Give [Run] a Config and the command line that starts this program as one data
//     aggregator. That process calls [Member].
//  2. Look at [Report].Broken: each line is a promise that was broken. Run returns no
//     error then.
//
// # The promises
//
// Each record that f + 1 receipts called final stands in the chain, at that height.
// Each record sent is final in the end. None stands twice. While at most f data
// aggregators are faulty, the chain never stands still for more than ten seconds;
// after a power cut that counts from the moment at which enough of them are up again.
// In the end all chains are the same, each is valid from its genesis on, and every data
// aggregator votes.
//
// # What is real and what is not
//
// Real: the processes and their ends, the links over mutual TLS, the broker's
// protocol, the stores with their fsyncs, the receipts. With a Network also the lines:
// each data aggregator has a network namespace and an uplink of a bounded rate, and a cut
// takes its line down (network.go); delays are the forwarders'. A link is cut in a forwarder
// through which each connection goes. A slow disk is played: the process waits before
// each write that is synced. The hostile data aggregator is an honest one behind a
// link that lies (liar.go); packages below test worse ones. The load is gate changes
// of devices that send what is not final again, in order, as agents do.
//
// # Who is faulty
//
// A data aggregator is faulty from the deed until it votes again and has the newest
// blocks. The hostile one is honest at first and faulty for the rest of the run. A
// deed waits until it makes no more than f of them faulty. Power cuts are the
// exception, and slow disks of all make no one faulty.
//
// The plan of a run is drawn by its seed. What comes of it is not: processes run as
// they run.
package soak
