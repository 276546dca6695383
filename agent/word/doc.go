// Package word reads what people say to an agent: commands in JSON, commands sealed
// by an owner, and a list of words for a replay.
//
// # A sealed command
//
// An owner's command over MQTT is the JSON of a [wire.Command] in an envelope of
// package seal, in the domain "command", signed with a key that the agent's
// configuration names. [Open] checks size, envelope, owner and signature before it
// reads the JSON, and then that the command is for this device and this topic.
//
// # Replays
//
// A [Guard] takes a command once. Each command carries its owner's time, which has to
// be above that of every command of the owner taken before, and within two minutes of
// the device's clock. A device whose clock is not synchronised cannot tell a new
// command from one that was held back. It takes a block, which is safe, and refuses
// the rest.
//
// # The caller's duties
//
// Keep the Guard on disk in the same transaction as what the command does. Refuse
// what a broker has retained. Check the word itself by model.Judge.Say.
//
// # What was refused
//
//   - A counter in the owner's key file: the same key is used on a phone and a desk.
//   - A nonce from the device: a command would need two messages, and a device behind
//     a slow link would miss the moment.
//   - Commands sealed for the chain: an agent without a chain has owners too.
package word
