// Package faultdoc keeps the table fault x reaction of docs/fail-safe.md true.
// Only tests use it.
//
// The page has one section for each package that can produce faults, between
// the lines "<!-- faults: NAME -->" and "<!-- end -->". A test of that package
// produces each fault, observes the reaction, and hands [Check] the rows. Check
// fails when the section says anything else. With FAIRWATT_UPDATE set it writes
// the section instead. A package adds its rows by
// adding the two marker lines to the page and such a test:
//
//	rows := []faultdoc.Row{{Fault: "broker gone", Reaction: observed}}
//	if err := faultdoc.Check("../docs/fail-safe.md", "agent", rows); err != nil {
//		t.Error(err)
//	}
//
// Make the reaction from what was observed (a state, a rule, a time). A reaction
// written by hand says what was hoped.
package faultdoc
