// Package trade is an agent's share in trades: the [Seller] and the [Buyer], two
// state machines without clock, disk or network.
//
// # Steps
//
// A step takes what happened ([SellerInput], [BuyerInput]: both clocks, the
// meters, the gate, the outcomes of records) and returns what to do, in order
// ([Action]): seal a record, close or open the contactor.
//
//	buyer:  idle -> requesting -> choosing -> paying -> paid -> billed -> confirming -> idle
//	seller: paid -> starting -> delivering -> stopping -> billed
//	                            delivering -> held -> resuming -> delivering
//
// Where the chain's ledger answers, a payment names the quotes as choices, best first, and the
// notice of it says which lot was taken. A Token that is not paid with is given back.
//
// Where the chain has an auction of slots, an [Auction] takes the place of both: it orders
// for the next slots what its meters and the power foretell, and tells what the meters
// showed at the borders of slots in which they may trade: of a clearing it is told once, and
// may not hear it, but what it ordered it knows. Energy is that of one slot. Its caller
// keeps its state as theirs, and calls [Auction.Undo] when the disk has refused a step.
//
// # Care
//
// The forecast of a slot says that the power stays as it is, and is no more than the meter
// counted in either of the last two slots. A seller leaves a tenth of it out. How wrong such a
// forecast is shows in its own errors, so where the tenth is too little it keeps back what the
// worst, or the second worst, of the last eight slots would have needed ([Place]): an
// empirical quantile of the error, as forecasts of wind and sun are bid (Pinson,
// Chevallier and Kariniotakis, "Trading Wind Generation from Short-Term Probabilistic Forecasts",
// 2007). The error is an amount, not a part of the forecast: parts are greatest at dawn and dusk,
// where little is sold, and would keep back much at noon. A low quantile of what the last slots
// themselves brought was tried and refused: it sold far less in every morning, and fell
// short as often.
//
// Nothing foresees the first gust or cloud: care answers what goes on, as an evening does or
// a day of clouds.
//
// # What is promised
//
//   - A contactor is closed only after a Start or Resume is final, and only
//     while the gate is open. It is opened in the step that sees the gate
//     closed. A step that ends a delivery does not close for it.
//   - The pulses that come while the contactor opens are counted before a bill.
//   - A bill never exceeds what the meter counted while the contactor was
//     closed, nor what was paid for. Amounts are rounded down.
//   - Every wait ends: each phase has a time after which the trade is given up.
//     The ledger ends the trade by its own deadlines.
//
// # The owner's terms
//
// [Terms] bound what is begun: prices by hour, hours of the day, a daily amount, what is
// kept back, a pause, a dry run. They never touch what a Pay has bound: a trade that was
// paid is delivered, and its money is that of its offer. A standing offer under other
// terms is withdrawn and made anew.
//
// # The caller's duties
//
//  1. Keep the state (the exported fields, as JSON) in the same transaction as
//     the records of the step. When the disk refuses, restore the old state and
//     step again.
//  2. Open the contactor yourself before [Seller.Step] when the gate is not
//     open: RegisterWh is then the reading that the Hold states.
//  3. After a restart call [Seller.Restarted] once, with the contactor open.
//  4. Pass each outcome once.
//
// # Design
//
// The machines see outcomes, not receipts: what f+1 data aggregators signed is
// package receipt's business. They ask for records and do not seal them: a
// counter belongs to the outbox. A goroutine a trade was refused, because its
// state could not be kept in one transaction with its records.
//
// Money is in millionths, prices are in millionths per kWh, energy is in Wh.
//
// Source: the steps are those of Yu, Wu, Li and Wang, "A Distributed Power
// Trading Scheme Based on Blockchain and Artificial Intelligence in Smart
// Grids" (2023), section 3.2, with escrow on the chain in place of a shared
// wallet key.
package trade
