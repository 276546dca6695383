// Package faultdoc keeps the table fault x reaction of docs/fail-safe.md true.
// Only tests use it.
//
// The page has one section for each package that can produce faults, between
// the lines "<!-- faults: NAME -->" and "<!-- end -->". A test of that package
// produces each fault, observes the reaction, and hands what it observed to
// [Check] as rows; Check fails when the section says anything else, and writes
// the section instead when FAIRWATT_UPDATE is set. A package adds its rows by
// adding the two marker lines to the page and such a test:
//
//	rows := []faultdoc.Row{{Fault: "broker gone", Reaction: observed}}
//	if err := faultdoc.Check("../docs/fail-safe.md", "agent", rows); err != nil {
//		t.Error(err)
//	}
//
// The reaction should be made from what was observed (a state, a rule, a time),
// not written down beside it, or the table says what somebody hoped.
package faultdoc
