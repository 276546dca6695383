// Package nowcast is the message by which agents tell each other of the weather,
// as bytes: how it is sealed, opened and refused, and how a data aggregator hands
// it on. What it means is package model/neighbours'.
//
// # The way of a nowcast
//
// An agent seals a nowcast with its own key and publishes it, retained, on its own
// topic ([Seal]). Each data aggregator opens it with the key that the chain has of
// the sender ([Open]) and hands it to the agents nearby, many in one message that
// it seals itself ([SealDelivery]), each with the sender's key. An agent opens
// what it is handed ([OpenDelivery]), and believes a key when more data
// aggregators than may lie name the same one ([Roll]). Then it opens the nowcast
// with that key. So one lying data aggregator can hold back a nowcast, and cannot
// make one up.
//
// # The caller's duties
//
//  1. Open nothing before its length was looked at where memory counts: [MaxBytes]
//     and [MaxDeliveryBytes] are checked here, but after the bytes were read.
//  2. Judge the time: Open says whose nowcast it is and that its values can be. That
//     it is new, near and not heard before says neighbours.Set.Put.
//  3. Count a refusal by its [Code].
//
// # Design
//
// The payload is JSON, as an owner's command is: a dozen numbers every ten minutes,
// which people can read with a broker's own tools. Unknown fields are passed over,
// so that later agents may say more; another schema is refused. The sender's site
// stands in it and is signed, because it is part of the topic.
//
// Refused: a record on the chain (no one pays or answers for a nowcast, and it is
// worthless in an hour); the keys of all participants in each agent (a list that
// grows with the community, for at most 64 neighbours); one trusted data
// aggregator.
package nowcast
