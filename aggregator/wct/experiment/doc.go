// Package experiment repeats the paper's experiments on communication trees
// (section 4: Figures 6, 7 and 8 and Table 2) and measures the overhead-aware
// tree beside them.
//
// # What a caller must do
//
// Call Run with Options; write the Results with WriteCSV and WritePlots. The
// same options give the same bytes.
//
// # Design
//
// Networks are drawn by Generate from a seed. Every network is measured by
// itself, by as many workers as asked for, and the results are put together in
// the order of the networks, so that the number of workers changes nothing.
//
// The paper gives neither its thresholds nor how it drew overheads and the
// trust of malicious nodes, nor how often it repeated. Generate says what is
// used here. Three overhead models stand in for the unknown one; a claim that
// holds in all three does not depend on the guess.
//
// Beside the paper's trees stand four that it does not have: a star and a
// random tree, what one would do without thinking; gossip, what one would do
// without a tree; and for the times a lower bound that no tree can beat.
//
// This package uses floats and draws plots; nothing that data aggregators must
// agree on may import it.
package experiment
