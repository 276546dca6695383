// Package grid runs the whole system in one process on one machine: a broker, a
// management centre, data aggregators, generators with agents on simulated
// boards, and buyers. It composes the same parts as the mains do; nothing in
// them knows that it runs here.
//
// # What is real and what is not
//
// Real: the drivers, the judgement, the gate, sealing, outboxes, MQTT over
// mutual TLS, the agreement, the links between data aggregators over gRPC and
// mutual TLS, the stores with their fsyncs, receipts, and the verification at
// the end. Simulated: the chips (package board), the weather and the power of
// the generators (a trace, or package scenario), and the wire between a seller
// and a buyer. Every record says that it is simulated.
//
// # Two clocks
//
// The world and the agents' sensing clock run on trace time, speed seconds a
// second; the ledger's clock is the wall's. An hourly trace at 3600 gives a
// sample a second, and a delivery of one hour takes a second. When a trace ends
// its boards fall silent for two intervals, which closes the gates, and it
// begins again; the sensing clock goes on.
//
// # Energy
//
// A closed contactor moves the generator's power into the seller's S0 meter and,
// less the line's loss, into the buyer's. The world keeps what truly flowed for
// each trade; the report holds the bills against it. That is what
// "energy_conserved" says.
//
// # Trouble
//
// The accounting node can be killed, a forwarder told to drop every block, the
// broker stopped for ten seconds, and a stranger can offer forged, foreign and
// replayed records. The report counts from the data aggregators that were not
// killed; each of their chains is executed again from the genesis.
//
// Refused: one shared stop for everything. Parts stop in the order in which
// data flows, so that what was sent can still be answered.
package grid
