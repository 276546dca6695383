// Package receipt collects the signed receipts of the data aggregators and says
// when an outcome is certain.
//
// An outcome stands when f+1 aggregators said the same of the same record at
// the same height: at least one of them is honest, and an honest one speaks
// only of decided blocks. Each outcome is returned once. The wording of a
// refusal may differ between aggregators; all else must be equal.
//
// A refusal before any block hangs on how far an aggregator has read the chain.
// Of f+1 that give it, the one honest may be behind. It is then [Outcome.Held],
// and certain when a quorum gives it. A refusal that hangs on the record's bytes
// alone is certain with f+1.
//
// # The caller's duties
//
// Hand [Collector.Add] every message, from one goroutine, and not from one that
// has to be on time: a message of 1 MiB takes milliseconds to hash. It checks the
// signature before it reads a field. At most 256 entries are read, and of them
// those that the caller says are its own. It ties the bytes of a record to the
// record's id; the caller still decodes them. An outcome may concern another
// device's record: a trade's other side.
//
// # Design
//
// Only the hash of a claim and its voices are kept, at most 2048 claims of each
// aggregator; its own oldest are forgotten first. One list for all was refused: a
// liar then made the agent forget what honest ones had said. Trusting the first
// receipt was refused: one aggregator could free a buyer's Token or close a
// contactor alone.
//
// Source: the f+1 rule is that of client replies in Castro and Liskov,
// "Practical Byzantine Fault Tolerance" (1999), section 4.1.
package receipt
