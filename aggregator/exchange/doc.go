// Package exchange hands the nowcasts of agents to the agents nearby, so that one
// learns of a storm from another before its own sensors see it.
//
// # What a caller does
//
// Hand [New] a [Config]. Subscribe [Exchange.Take] to the nowcasts' topics and call
// [Exchange.Run]. Call [Exchange.Again] for a device that came online: it may have
// missed what it was handed.
//
// # Design
//
//	message -> queue -> registered? rate? signature? time? -> newest by sender -> deliveries
//
// Take never blocks. A message whose topic names no registered device costs a
// look-up and is counted. One of a registered device takes a token of it first, so
// that a flood of one costs no signatures and nothing of the others. What holds is
// kept as the sender's newest. It goes to every device whose own newest nowcast
// says that it is within the distance, after a short while in which more is
// gathered. A device that tells no nowcast is handed none, because no one knows
// where it is. At most 64 go into a delivery, and where there are more, from as many places
// as there are: 64 neighbours of one street know less of a storm than 64 of a
// region.
//
// A delivery is sent once (QoS 0) and not retained: ten minutes later there is
// another one, and none should wait at the broker until it is stale. This data
// aggregator's key signs it; why, says package nowcast.
//
// Nothing here touches the chain. Whatever a nowcast says, it can only make a
// neighbour's network warn.
//
// Refused: topics by region, which every device could read: they would show
// all positions to each, and a device near a border would need nine of them. The
// sender's retained message read by its neighbours from the broker: then each
// device would have to be let read all, and to check all.
package exchange
