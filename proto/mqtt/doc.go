// Package mqtt is the one MQTT client of the agents and of the aggregators: a
// [Pipe] to one broker, and its implementation [Client] over paho.
//
// # What is promised
//
//   - A client reconnects by itself until Close. After each connection it
//     subscribes again to everything; then it says online, where it has a
//     presence topic; then it calls its OnUp functions.
//   - A subscription that the broker refuses is tried again each second until
//     the broker grants it or the connection is lost. A client that went on
//     without it would wait for a receipt that never comes.
//   - Each message goes to every subscription that matches it. A message that
//     the broker kept for the session and sends before the subscriptions of
//     this connection stand is delivered too.
//   - Publish is bounded in time. At QoS 1 it returns nil only after the
//     broker's acknowledgement.
//
// # The caller's duties
//
//  1. Call OnUp before Open; call Subscribe before Open when the broker keeps a
//     session, or what it kept is acknowledged unseen.
//
//  2. With Ordered, a handler does not block: it holds up every message behind
//     it, and the client's acknowledgements. Without Ordered, handlers run at
//     the same time.
//
//  3. Use one ClientID for one connection. A second connection with it ends the
//     first. Without a ClientID the broker keeps no session.
//
//  4. Name servers that are one broker in one URL, with commas between. Two clients
//     with one ClientID at two of them end each other's connections.
//
// # Design
//
// Both sides need the same connection and differ in four points, which are
// fields of [Config]. An aggregator wants a sender's records in order (Ordered),
// has paho send unacknowledged receipts again (Resend), and says itself whether
// it is online (Presence). An agent has an outbox that alone decides what is
// sent again, and writes its own last will (Will).
//
// All filters go out in one SUBSCRIBE. One packet a filter would let retained
// messages come in between, and a broker (mochi v2.7.9) refuses a subscription
// whose packet number is that of a message it has no acknowledgement of, though
// the two count independently (MQTT 3.1.1, section 2.3.1).
//
// paho's own routes are not used: they deliver nothing that arrives before its
// subscription. MQTT 5 was refused because paho's MQTT 5 client is another
// library with another interface, and nothing here needs it.
//
// Source: MQTT 3.1.1 (OASIS, 2014), sections 3.8, 3.9 and 4.7. Tests use the
// broker of package mqtttest.
package mqtt
