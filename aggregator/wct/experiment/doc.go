// Package experiment repeats the paper's experiments on communication trees
// (section 4: Figures 6, 7 and 8 and Table 2) and measures the overhead-aware
// tree in the same way.
//
// # What a caller must do
//
// Call Run with Options; write the Results with WriteCSV and WritePlots. The
// same options give the same bytes.
//
// # Design
//
// Generate draws networks from a seed. Workers measure each network by itself.
// The results stand in the order of the networks, so that the number of workers
// changes nothing.
//
// The paper gives neither its thresholds, nor how it drew overheads and the
// trust of malicious nodes, nor how often it repeated. Generate says what we
// use. Three overhead models stand in for the unknown one: a claim that holds in
// all three does not depend on the guess.
//
// We compare with four more: a star and a random tree, which take no thought;
// gossip, which needs no tree; and for the times a lower bound that no tree can
// beat.
//
// This package uses floats and draws plots. Code whose results data aggregators
// must agree on may not import it.
package experiment
