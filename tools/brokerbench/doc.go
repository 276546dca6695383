// Command brokerbench measures two MQTT brokers that a program can hold inside: mochi,
// which the grid of firmware-sim has, and nats-server, of which three carry a community
// that has outgrown one broker. It prints a table in Markdown.
//
//	cd tools && go build -o ../build/brokerbench ./brokerbench && ../build/brokerbench
//
// # What is measured
//
// Each broker runs in a process of its own, without TLS and access lists, and gets the
// same load from this one: records of 256 bytes at QoS 1 from many clients to four that
// hear all of them, as data aggregators do. First as fast as they go, then, for the
// latency from publishing to hearing, at half of what the slower of the two has carried.
// The brokers take turns, so that what else the machine does meets both; a row holds
// the medians. Compare the two rows of one run only.
//
// # Design
//
// A broker is a file with a build tag that leaves it out (nomochi, nonats), so that
// -sizes can say what each adds to a program. nats-server keeps its MQTT sessions in
// JetStream, which needs a folder; its consumers are kept in memory, as the grid keeps
// nothing over a restart.
package main
