// Package ledger holds the rules of the chain: which record and which block is
// valid, and what it changes. Every data aggregator runs it, and so does
// everyone who checks a chain. On the same blocks all of them come to the same
// state, bit by bit.
//
// It is pure: no clock, no file, no network, no goroutine, no global variable,
// no float. Time is the time in the blocks. docs/ledger-format.md says in bytes
// what this package says in Go, for a verifier in another language.
//
// # The caller's duties
//
//  1. Call [State.CheckRecord] on what comes from outside, and keep the ids of
//     what passed; hand that memory to Build and Verify ([WithVerified]), or
//     they check every signature again.
//  2. Before voting for a block, compare its time with your own clock
//     ([Params.CheckSkew]).
//  3. Stage a block ([State.Build] or [State.Verify]), let it be decided, store
//     it with its changes, and only then [State.Commit] it.
//  4. Check the certificate of a block that comes from elsewhere
//     ([State.VerifyCertified]).
//
// # Check and market
//
// A record can be refused at two places. The check refuses it for what its bytes
// are: not canonical, unknown signer, bad signature, wrong chain, a role that may
// not send it, a field outside its limits, a counter used before. Such a record
// stands in no block, and a block that has one is invalid. The market refuses
// it for what it asks: to spend what is not there, to pay twice with one Token, to
// start against a closed gate. Such a record stands in its block with an
// [fairwattpb.Outcome] that says why, and changes nothing but its sender's
// replay window, so the refusal can be proved to its sender and is not tried
// again. The codes of both are in package wire.
//
// Duty 1 has an end: what is remembered of signatures is void behind a block that
// says [Staged.NewKeys].
//
// # Who takes part
//
// Centres admit a data aggregator as a candidate. It counts for nothing until its own
// Rejoin, by its new key, makes it a member of the next epoch: so a quorum never grows
// by one that is not there. A member that leaves, or has another key, does so when the
// epoch ends; at least four remain, and at most f change in one epoch. Half of the
// centres can change nothing. The header of the block behind which others vote names
// them by a hash ([members.Set.Follow]), and [State.Turns] lists them all.
//
// # A trade
//
//	Request -> Response -> Pay -> Start -> Bill -> Confirm
//	           escrowed    paid   delivering  billed   settled, settled_partly, disputed
//	                                |   ^
//	                          Hold  v   | Resume
//	                                held
//
// With settlement by meters ([Params].Settlement) the gate on the chain decides what
// flows. A start stands on the newest gate change of the chain, or brings it along;
// a gate change that is not OPEN holds the delivery in its own block; nothing that
// is metered in a hold is billable, and all holds of a trade are bounded together.
// A seller's own attestation with a number that the chain did not know used to be
// enough, so a start passed while the chain said BLOCKED; chains made by those
// rules verify by them.
//
// Then a meter is registered by the centre before it measures anything. It belonged
// to whoever named it first, and a rival could name it in a trade of 1 Wh; one meter
// could have two names and sell its energy twice.
//
// With settlement by meters no lie pays: the seller is paid what both meters bear
// out, what they differ by goes into a fund and to neither side, silence waits for
// the buyer's next signed reading, and a seller that falls silent is billed by its
// last. Half of the gap to each side was refused: every invented Wh then pays half.
// So was charging the gap within the meters' tolerance: it taxes honest meters; a
// buyer whose meter lies within its class gains that much. More at the buyer than
// was billed is no gap: where no contactor switches the power, a buyer's meter
// counts all that the house draws. A seller's word that it was ready excuses it
// only where next to nothing flowed, and it has no money of it. The paper's rule
// (the buyer's word pays, or nothing does) is the mode "paper". docs/market.md has
// the rules, and what attacks gain by either.
//
// Money moves by Deposit (into a wallet), Response (wallet to escrow), Pay
// (what the price leaves of the escrow goes back), and at the trade's end
// (escrow to the seller, back to the buyer, or into the fund). Each status has a
// deadline in block time, swept at the start of each block. With the first rules:
//
//   - a Token not used: refunded, without anyone's fault;
//   - no start, or no bill: failed, the seller broke its promise; but refunded
//     when a hazard excuses it (a hold in the trade, or a newest gate change
//     that is not OPEN) and its quota is not used up;
//   - a hold not ended: billed by the ledger with what the seller's meter had
//     counted, refunded if that is nothing;
//   - no confirmation: settled by the seller's meter, the buyer broke its
//     promise, so silence steals nothing (R21, R26);
//   - a dispute: divided. What both meters counted is paid, the difference is
//     halved, and both sides' records say broken.
//
// The meter decides before the parties' words: a confirmation whose register
// bears the bill out settles the trade whatever its accepted flag says. A
// meter belongs to its first user, its register never falls, and it
// measures one trade at a time, so no watt-hour is sold twice; what the
// seller's meter counts during a hold is not the trade's.
//
// Who states an amount may round it to either neighbouring millionth (the
// difference is below one, and never above the escrow); the ledger's
// own amounts are rounded half even. Sums are conserved exactly: deposits are
// always wallets plus escrows plus bonds plus the fund ([State.Totals]), and a block that
// would break that is none.
//
// # Answers and payments
//
// Who answers a request stands in the genesis ([Params].Answers). By the paper a centre does: it picks whom
// it quotes. With [AnswersByLedger] every data aggregator finds the same answer in the state, in the block
// of the request where that is possible. Refused: a Response with quotes that are compared with the state's. An
// honest one is late whenever a gate closes between its making and its block, and costs the buyer a
// round. So a Response only says that a request that waits can be answered, and its buyer may say so as
// well: who sends it can delay an answer and not shape it. To answer what waits at the end of each block was
// refused too: a block would look at all that waits, and requests that no one can serve would
// crowd out the others.
//
// The offer that an answer names first is kept for its buyer for some seconds: two that choose the same one would have one of them
// refused. A buyer that lets its Token lapse keeps none until it has paid again, or names of one person could hold
// every seller up.
//
// What an answer walks leaves out the offers that cannot be sold until an entry of their seller changes (book.go): it is an
// index, and no part of the state. Refused: a limit on the offers that an answer passes over, since who stands up as
// many has no one answered.
//
// A payment names choices ([State.Answerable] tells them beforehand), and the ledger takes the first that can be taken. Each meter
// of the buyer measures one lot; several lots on one meter were refused, since a seller that delivers nothing could then be
// borne out by the energy of another. What is left goes back in the same block, so no Token
// outlives a payment, and there are no versions of one that could be renewed (R23); a Token that is not used is given
// back by a Release. A seller that was paid is busy until it has billed, so that a promise is never one too many.
//
// # Slots
//
// With an auction ([MechanismAuction]) members also ask and bid for the energy of a slot, a quarter
// of an hour as a rule. Requests and offers stay: a heater that must run now cannot wait for a slot.
// When a slot's gate closes, one price is found for all ([slot.Clear]), and each matched pair
// becomes a trade, so that exposure, credit, fines, appeals and statements are those of any other.
// A price must suit both sides after the fee for the grid and the levy: the seller is left with what
// it asks at least, the buyer pays what it bids at most, the fee of its pair is on top of the price.
//
// An order counts in its sender's exposure as long as it stands, and a bid has its money in escrow. To
// count a promise only when it is matched was refused: who orders in a hundred slots for one bond
// could then choose the slot that suits it, and fall out of the others. A price above what
// a seller asked makes its promise worth more; one whose bond does not bear that is left out.
//
// There is no wire and no start. A meter that trades in a slot measures nothing else until the slot is
// settled, and shows its register at the slot's borders, each once. What a seller's meter
// counted is divided among its trades, what a buyer's did among what was sold to it
// ([slot.Shares]), and what both bear out is paid. What is missing on the seller's side is fined as
// anywhere, and excused as anywhere if its gate was not OPEN, in which case nothing of the slot
// counts. What the buyer did not draw of what was delivered, it pays all the same, into the fund: a
// fine of a part of it would leave it the rest, so a buyer that hides what it drew would gain; to
// pay it to the seller would pay a seller for what no other meter saw. An appeal can bring it
// to the seller. A silent seller's meter counts as nothing. A silent buyer's counts as all, as where
// it does not confirm. A seller's meter that counts more than it gave is paid as in a wired trade, as far as the
// buyer's bears it out: that is for the meter's seal and those who check it.
//
// # Credibility, trust, tree
//
// Two rules of credit stand in the genesis ([Params].Credit). The paper's, literally: s
// or f counts one more, credit ± w·volume (formula 8), below a limit the participant
// is blacklisted and can no longer request, offer or pay; running trades finish. Its
// weakness is known: one large trade buys the right to many frauds.
//
// With robust credit ([CreditRobust]) a bond stands for what a participant promises.
// Credit is the share of kept energy in all that was promised, losses five times as
// heavy as gains, and a tenth of both forgotten each period. What is gained needs the
// other side's bond to vouch for it, and a unit of money vouches once a period, in
// whose hands it may be: a ring of names gains no more than its money vouches for,
// and nothing without money. To let earned credit vouch again was refused, since a
// ring passes it round; so was netting rings out, which costs a search for cycles.
// Open promises are bounded by bond and credit, so that a bond always bears the charge
// for a gap, and the fine for what was not delivered.
//
// A gap between the meters is held in the fund with a charge to both sides, since a
// lie that harms must cost its liar something, and no meter shows who lied. Two
// arbiters of the genesis decide ([State.Cases]). To have statistics decide was refused:
// five names of one person can make one honest meter look biased, and would be paid
// for it. What is not decided stays in the fund until two arbiters grant it. A seller's
// word that it was ready saves it the fine and brings it nothing; to make the buyer pay
// for that word alone, or for energy not drawn, was refused, since the word costs
// nothing. A verdict makes a false one dearer than the fine, and gives whom it clears
// money and credit back (cleared.go), as if the trade had not been; what was noted of the
// trade for that stays as long as the trade. Who leaves its part undone,
// or is found to have lied, comes onto a list while its credit is low, for a time that
// doubles; energy that is missing and said to be missing never puts anyone there.
//
// With trust by reports ([Params].Trust) trust, overheads and links follow from what
// the data aggregators report of each other, at the end of each epoch (trust.go). A
// block that one end of an edge misses is a dispute of both, since nobody else can
// judge it; only disputes with more than f others cost trust, so that f liars take no
// one below the threshold. Refused: a mean over all reports, which f liars move;
// acknowledgements as evidence, which a liar withholds; and a loss for late blocks,
// which one child alone could bring about. Trees are built anew where that gains enough
// (branch.go). On other chains all that is the genesis'.
//
// An epoch's sequence is the communication tree's, with those who failed as
// accounting node, as the view of an epoch's last block shows, behind the others: for
// one epoch, then two, four, up to 32 while they fail in a row.
//
// With witnessed excuses ([ExcusesWitnessed]) a hold costs a seller nothing where another
// gate of its site or an official warning bears it out, and else by the Wh what its
// deliveries earn it. Only the newest two devices are kept of each site and kind of hazard:
// of these one is always another than who looks for a witness. A warning that comes more
// than witness_ms behind the hold counts for nothing, since a centre could choose then whom
// it spares.
//
// By slots (auction.go) energy is traded without wires between two. An auction knows a
// price before the slot and fines who does not keep it; sharing (sharing.go) divides by
// fixed parts when the slot is over, as communities do by law. Refused: the dynamic key,
// by which who invents consumption takes what is scarce from the others; a price in the
// genesis, since prices change; and parts by the members' own word, since everyone
// would want all.
//
// # Keys of members
//
// A key that is registered shows that its holder agrees, for an id, its roles, and what
// stands for its recovery key and its bank account ([wire.Enrolment]): a centre alone
// could register a rival's key. A member changes its key itself ([KeyChangeBlocks]); the
// new one is good from the next block on, since a
// block is checked by the keys below it. Its trades go on: they are the member's, not the
// key's.
//
// A centre suspends, reinstates and revokes; a recovery key on paper can revoke and
// nothing else, so it may lie in a drawer. It counts by itself, else a thief of the
// member's key used up its counters; any centre's connection carries it. Who is out sends nothing, offers nothing and is
// answered nothing; its trades end by meters and by time, as those of one that is silent.
// Its money goes by a centre and an auditor, to the account that was registered, if one
// was: then a thief of the key cannot have it either. Refused: to let a centre give a
// member another key, since then a centre could trade as anyone.
//
// # The state
//
// The state is a map from keys to bytes with a Merkle root in each header. The
// root is over 4096 buckets of keys: a block touches some hundreds of keys of
// perhaps a million, and recomputes their buckets and paths only. A sparse
// Merkle tree would give shorter proofs for single keys but costs some thirty
// hashes a key, and no one asks for such proofs yet; a hash over the list of
// changes would be cheaper still but would not say what the state is.
// Protobuf was not used for values since its encoding is not one-to-one.
//
// # Source
//
// Y. Yu et al., Intelligent Automation & Soft Computing 37(1), 583-598, 2023
// (R numbers in comments count its requirements); RFC 6962 for the roots over
// records and outcomes.
package ledger
