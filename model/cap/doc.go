// Package cap reads and writes the Common Alerting Protocol, version 1.2
// (OASIS CAP-v1.2), and joins it to the hazard judgement: an official warning
// is one more witness (rule W09), and the judgement's own alerts can be told in
// the same format.
//
// [Parse] is safe on hostile bytes: no document type, no entities beyond XML's
// five, at most 1 MiB, 8 levels deep and a bounded number of elements. It reads
// UTF-8, UTF-16 and Latin-1. It is strict where a decision hangs on an element
// (status, message type, names, time of sending, references, expiry, geometry, and
// that urgency, severity and certainty stand once). The rest it passes over or
// mends, and Alert.Oddities says what: a warning must not be lost for a detail.
// [Alert.AppendXML] writes what Parse reads.
//
// A [Desk] decides what an alert means for one site: is it actual and public,
// does its area hold the site, is it over, which earlier one does it replace or
// cancel. Its answer is a list of [Order] values for model.Judge.Warn and
// Withdraw. [FromEvent] maps an alert event to CAP; its status is Test unless
// the operator configured another, because a private device must not feed
// public systems.
//
// A message that Parse refuses goes to Desk.Unread: where it may be grave it warns,
// because a message that cannot be read is no calm. It never blocks, for neither
// its area nor its severity is known.
//
// # The caller's duties
//
// Hand in alerts in the order of arrival with both clocks: onset and expiry are told
// in wall time and kept on the sensing clock from then on. Set Desk.Unsure while the
// wall clock cannot be trusted, and call Desk.Rebase when it can be again and after
// it was stepped: a step alone ends no block and delays none. Keep Desk.State over a
// restart, or a message that was cancelled blocks again when it is read again. Only feed what came over a
// channel that was authenticated: CAP's own signature is not checked.
//
// # Design
//
// An alert only ever closes the gate: it can lift its own block (expiry,
// Cancel, Update), never another cause. Where an alert gives no geometry, its
// area is known by name only; then the site configures which names and geocodes
// are its own, and with none configured the alert warns but does not block.
// A message without expiry is taken to last for a configured time.
//
// The element set and enumerations are those of OASIS CAP-v1.2 as recalled and
// as documented by its users; signatures, resources' bodies and the profiles of
// single countries are left out.
package cap
