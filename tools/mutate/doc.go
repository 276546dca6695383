// Command mutate measures how much the tests of a package notice. It changes one
// expression or statement at a time (a mutant), runs the tests that reach it, and
// lists the mutants that no test noticed.
//
// # Design
//
// Each package is compiled once. The tool writes a copy of its sources in which
// every mutant sits behind a switch, compiles that copy into one test binary
// (`go test -c -overlay`), and runs the binary once per mutant with the mutant's
// number in an environment variable. Compiling once per mutant, as most tools do,
// costs 1 to 3 s a mutant; a switched mutant costs the run of its tests, often
// 20 ms. The working tree is never written to.
//
// The binary first runs once per test with tracing on. Each switch then writes
// its number to a file when it is first asked. So the tool knows how long each
// test takes and which mutants it reaches, and a mutant is tried with those tests
// only, the fastest first.
//
// A mutant counts as killed if a test fails, if the binary crashes, or if the
// tests hang: if they use a few times their normal time of a processor. The clock on the
// wall ends only what waits for ever, for beside another load a run takes longer, and
// would count as hung. A mutant that no test reaches has
// survived. A mutant whose switched form does not compile is left out and counted
// as not tried.
//
// # What is changed
//
// Comparisons (boundary and negation), && and || (exchanged, and each operand
// left out), + - * / % on numbers, conditions of if and for, guards (an if that
// ends in return, break or continue never holds), cases of a switch without tag,
// ++ and --, += and -=, and statements left out (calls, assignments, sends).
// Constants, declarations, text of errors, logging, String and Error methods and
// generated files are left alone.
//
// # The draw
//
// --sample tries a part of a package's mutants. Each mutant has a rank: a hash of the
// seed, the package, the function, the text before and after, and the number among
// equal texts of the function. The lowest ranks are drawn. File and line do not count,
// so moved code keeps its draw, and new code displaces only as many of the drawn
// mutants as it puts in. --shard divides the mutants by the same ranks.
//
// # Refused
//
// Shuffling the list with a seed: a function more, anywhere, draws everything anew, and
// the survivors that the tests had just learned to catch give way to unknown ones.
//
// gremlins, go-mutesting: one compilation per mutant, hours for this module.
// Changing constants by one: most such mutants are caught by the boundary of the
// comparison next to them.
//
// # Reasons
//
// A survivor may live if reasons.txt says why. An entry names the package, the
// function, the text before and the text after, so it outlives moved lines:
//
//	package aggregator/ledger
//	func (*State).pay
//	- price > offer
//	+ price >= offer
//	= Both are equal only when the price is zero, which check refuses earlier.
//
// A function with the same text twice gets "func NAME #2" for the second. A reason
// whose mutant is killed or gone is reported.
//
// # Sources
//
// R. Untch, J. Offutt, M. Harrold, "Mutation analysis using mutant schemata",
// ISSTA 1993.
package main
