// Package grid runs the whole system in one process on one machine: a broker, a
// management centre, data aggregators, generators with agents on simulated
// boards, and buyers. It composes the same parts as the mains do. No part knows
// that it runs here.
//
// # What a caller must do
//
//  1. Start from DefaultConfig; Run calls Validate itself.
//  2. Give Options a Logger and an Out.
//  3. Read the Report's MoneyConserved, EnergyConserved and ChainVerified. Run
//     returns no error if one of them is false.
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
// second. The ledger's clock is the wall's. An hourly trace at 3600 gives a
// sample a second, and a delivery of one hour takes a second. When a trace ends,
// its boards fall silent for two intervals, which closes the gates. Then the
// trace begins again, and the sensing clock goes on.
//
// # Energy
//
// A generator's contactor is a relay on its board. While its contact is closed,
// whatever it was told, the generator's power flows into the seller's S0 meter
// and, less the line's loss, into the buyer's. The world keeps the energy that
// truly flowed for each trade, and what the seller's register counted of it. The
// report compares every trade through which energy flowed with its bill: that is
// "energy_conserved". A relay that was closed, by its own log, for longer than a
// tick while the gate of its agent was not open is a "contactor violation".
//
// # Trouble
//
// A run can kill the accounting node, have a forwarder drop every block, stop the
// broker for ten seconds, and let a stranger offer forged, foreign and replayed
// records. The report counts from the data aggregators that were not killed. It
// executes each of their chains again from the genesis.
//
// With Members the data aggregators change while agents trade, as operators would have
// it: one more joins, one signs with another key, one leaves. The report says behind which
// blocks, and who followed: agents, and one that has only certificates.
//
// Traders that lie (crimes) have no agent and send what they like; those that buy have a
// house, through which energy really flows. What anyone gained is the money that trades
// moved and the energy that flowed, each Wh at the price of its trade, but for what two
// meters of their class may differ by. Judges find what is true, since the grid knows it.
//
// # The broker
//
// The broker is mochi, in this process. nats-server would be the engine of the large
// communities too (package mc writes its files), but side by side it takes twice as long
// to deliver at half load and half as much more processor time a message, and adds more to the
// program (docs/performance.md). A run here is short, and three things it needs are one
// line each with mochi: a judgement of each topic by a Go function, a count of the messages
// that a full queue lost, and a stop that forgets everything. nats-server is tested with a
// whole community in aggregator/cmd/aggregator.
//
// Refused: one shared stop for everything. Parts stop in the order in which data
// flows, so that every record sent can still get its receipts.
package grid
