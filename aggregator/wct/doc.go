// Package wct builds and measures communication trees: the weighted
// communication tree (WCT) of the paper; its two baselines, links first (LFT)
// and trust first (TFT); and the overhead-aware tree (OCT), which is faster than
// the WCT and never worse in any metric.
//
// # What a caller must do
//
//  1. Call Validate on an Input that did not come from ParseInput. Build calls
//     it itself and returns its error.
//  2. Give Build and Measure the same Input. Measure trusts its tree.
//  3. Look at Tree.Unattached. The paper's construction does not always span
//     (see below), and Build returns a tree that does not span.
//
// The package is pure. Each data aggregator computes the tree for itself, and
// all must get the same one. So everything that a tree depends on is an integer:
// trust in 1e-4, overheads in microseconds, links and weights whole numbers. The
// only floats are two ratios of Metrics for people, Trust and Coverage.
//
// # The construction (section 3.2)
//
// Step 1 puts the nodes of at least the threshold's trust first. Step 2 sorts
// these trusted nodes by wt*trust + wl*links, best first; the best is the root.
// Step 3 moves trusted nodes behind the other trusted ones if sending to them
// from the root costs more than the overhead threshold. Step 4 attaches breadth
// first: each node of the sequence takes as many of the following nodes as it
// has links. Sorting dominates: O(n log n).
//
// # Where the paper is silent or wrong
//
// WCT, LFT and TFT are the paper's mode. They do what the text says, weaknesses
// included, so that the weaknesses can be measured.
//
//   - Ties go to the lower index. An index can be gamed: a system whose nodes
//     choose their index must order the nodes before it calls Build, or set
//     Input.IDs.
//   - "Insert after v_j", done node by node, would reverse the order of the
//     demoted nodes. They keep their score order here.
//   - Step 3 looks at the root's overheads only. Other edges may exceed the
//     threshold: Metrics.EdgesOverThreshold counts them. If the root is
//     expensive to all, all are demoted alike and the step changes nothing.
//   - The text loops for ever when links run out. Tree.Unattached lists the
//     nodes left over.
//   - With no trusted node, steps 2 and 3 have nothing to do and the given order
//     stands.
//   - Overall trust is a mean over forwarding tasks, not reliability. Coverage is
//     the expected share of nodes that a block reaches if no node sends twice.
//
// # Communication models
//
// TimeExact and ConcurrencyExact let a node send to all its children at once
// as soon as it has the block. TimeLevel waits for each level to finish.
// TimeBusy needs no tree: any link that falls free takes the next node of the
// sequence. The earliest free link goes first; of equally early links, that of
// the node earlier in the sequence.
//
// A sparse overhead list (Input.SparseOverheadUs) stands for a matrix whose
// unlisted pairs are unmeasured. An unmeasured edge counts as one microsecond
// over the threshold, so that no node gains by not measuring.
//
// # The overhead-aware tree
//
// OCT is ours. The WCT ignores all overheads but the root's. OCT minimises the
// time at which the last node has the block. It is never worse than the WCT of
// the same input in any metric: attached nodes, trust sum, coverage, both
// concurrencies, both times, edges over the threshold, and edges from untrusted
// nodes. If the search finds nothing better, OCT is the WCT. Read its Edges:
// Attach(Sequence) gives another tree, since OCT does not use every link.
//
// The start is a tree in which each node has as many children as in the WCT, and
// which therefore has the WCT's trust sum: grow attaches by earliest arrival,
// growLevels matches level by level. Then search anneals (dense, up to 250
// nodes) or only descends (up to 20,000): it exchanges nodes and subtrees, moves
// subtrees, and takes nodes out of one chain into another. A change costs the
// way up to the root (shape), and a walk over the tree only if it is about to be
// accepted. Whether a tree may be returned is decided without rounding (floor):
// fractions decide where the fixed point cannot tell two coverages apart.
//
// The search counts steps, not time, and draws from SplitMix64 seeded by a hash
// of the input. Every number in it is whole. So all architectures and all data
// aggregators get the same tree. Refused: floats in the annealing's acceptance
// (straight lines between powers of two stand for the logarithm), and wall time
// as a budget.
//
// BuildLed builds the tree under a given root. The running system's sequence of
// accounting nodes is the paper's, and the tree under each is ours (or the
// paper's, by choice). Its floor is the attachment of that sequence.
//
// Repair mends a tree after one change. Agreement has no use for it: it builds the tree
// of each view ahead, and a mended tree depends on the one before, which a member that
// was away does not have; all have to use the same. Update keeps a tree in use until a
// rebuilt one gains enough. docs/experiments.md has the figures.
//
// # Ids
//
// With Input.IDs, the order in which nodes are given does not matter: ties go to
// the lower id.
//
// # Source
//
// Y. Yu, J. Wu, G. Li, W. Wang, "A Distributed Power Trading Scheme Based on
// Blockchain and Artificial Intelligence in Smart Grids", 2023, section 3.2. OCT
// is simulated annealing (Kirkpatrick, Gelatt, Vecchi 1983) with a floor.
package wct
