// Package slot divides the energy of one slot of a market, a quarter of an hour as a
// rule, among those who offer it and those who want it: by prices, as a uniform-price
// double auction, or by a key, as communities share energy.
//
// It is pure, and it holds integers only: the same orders give the same division on every
// machine. Energy is in Wh, prices are in millionths of the currency unit per kWh.
//
// # The auction
//
// [Clear] takes all asks and bids of a slot at once. It sorts bids by price down and asks by
// price up, and matches them while the bid bears the ask and the fee. The last pair that is
// matched, the marginal one, makes the price for all: floor((ask + bid - fee) / 2) is what
// sellers are paid, buyers pay the fee above it. Who states a better price than the marginal
// one trades in full. Those who state it share what is left pro rata.
//
// Then always
//
//   - what is bought is sold, and what buyers pay is what sellers and the fee receive;
//   - no one pays more than its bid or is paid less than its ask;
//   - no other division of the same orders is worth more, by bids less asks less fees;
//   - the sequence of the orders does not matter, only their prices, heights and ids.
//
// A price between the marginal pair is not proof against every lie. As long as a member
// states a price that is better than the marginal one, no word of it moves its price; who is
// left out gains nothing by a word that does not overtake the marginal one. But who knows
// the book and moves the marginal pair itself can gain: a buyer that bids less than the
// energy is worth to it and becomes the marginal one, or one that was left out and bids
// more. Refused: to leave the marginal pair without a trade (McAfee 1992), which is proof
// against that, but loses a trade in most slots, and small communities have few.
//
// A clearing names trades, each of one ask and one bid, and [Settle] says what of them is paid
// when the slot is over and both meters have counted it. [Shares], by which a chain pays, also tells
// whose a shortfall is.
//
// An order's sender is not known here. That no one trades with itself is its caller's duty.
//
// # The keys
//
// A key has no prices. [Static] gives each consumer a fixed share of what is produced, and at
// most what it consumes; what one does not use goes to no one else. [Dynamic] divides what is
// produced in proportion to what is consumed in the slot. By either nothing is allotted twice.
// The producers' part of what was allotted is divided by Dynamic, too: [Share] does all of it by
// the static key. By that key no consumer gains by saying that it consumed more or less than it did,
// if the price lies between what its supplier wants and nothing: its share does not depend on
// what it says. By the dynamic one it does: where there is not enough for all, who invents
// consumption takes the energy of others.
//
// Whole Wh are divided by largest remainder: each has its part rounded down, and the Wh
// that are left go to those whose parts were rounded down the most.
//
// # Source
//
// R. Wilson, Econometrica 53, 1101-1115, 1985, for the double auction with one
// price; R. P. McAfee, Journal of Economic Theory 56, 434-450, 1992, for what was refused;
// Directive (EU) 2019/944, Art. 15a, for keys.
package slot
