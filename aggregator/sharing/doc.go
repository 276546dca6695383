// Package sharing compares ways in which a community divides its energy, on the same days:
// none at all, trades of two members each, the auction of a slot, and the static and the
// dynamic key of energy sharing.
//
// It is pure. Its caller makes a [Community], from recorded power or by [Generate], and hands
// it to [Community.Compare].
//
// # What is compared
//
// Each member has a supplier: what it consumes costs its tariff there, what it exports brings
// its feed-in price. What the community divides replaces both. So a kWh is worth its consumer's
// tariff, less its producer's feed-in price and the community's fee, and the gain of a way is
// the sum of that: what consumers save and producers earn more, together. [Outcome] has
// both sides. Nobody is ever worse off than alone, since who would lose takes no part.
//
//   - [WayBilateral]: each seller offers what it exports in a slot, at the community's price or
//     its feed-in price, whichever is higher, and serves one buyer in a slot, as one delivers
//     one trade at a time. Buyers come in turn, a different one first in each slot, and take
//     the cheapest offer first, of up to [MaxLots] sellers.
//   - [WayAuction]: everyone states its own supplier's price, and the slot is cleared by
//     package slot. The price is that of the marginal pair.
//   - [WayAuctionAhead]: the same, before the slot begins. Each offers and wants what it had in the
//     slot before, and what then flows beside that is the suppliers'.
//   - [WayStatic], [WayDynamic]: all pay the community's price. A key looks at energy only, so
//     who would lose by that price stands aside. Shares of the static key are fixed.
//
// Everyone tells the truth here, and but for the auction ahead everyone knows what the slot
// brings: a comparison of rules, not of how members behave. What a closed gate keeps back is not
// in it.
//
// # Design
//
// Sums are exact: energy times price in millionths of a thousandth, rounded once at the end,
// so that the gain is what both sides gain to the unit. Homes are invented everywhere, since
// no recording of a trace has what a home consumes; they follow from a seed with integers
// alone, so a table of them is the same on every machine.
package sharing
