// Command benchtable runs the project's benchmarks and its memory soak, prints
// one table and writes the same figures as JSON:
//
//	[{"name","value","unit","note"}, ...]
//
// # The caller's duties
//
// Run it from the repository's root after `make build arm`, on a machine that does
// nothing else. Compare figures of one machine only.
//
// # Design
//
// A table of suites says which benchmarks are run and how their results are
// called, so that the names in the JSON outlive those of the code. A row without a
// result is an error: a renamed benchmark must not vanish from the table. A part
// that fails does not stop the others.
//
// # Source
//
// The output of `go test -bench` is read by golang.org/x/perf/benchfmt.
package main
