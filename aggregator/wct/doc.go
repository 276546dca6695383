// Package wct builds and measures communication trees: the weighted
// communication tree (WCT) of the paper, and the two baselines it is compared
// with, links first (LFT) and trust first (TFT); and the overhead-aware tree
// (OCT), which is faster and no worse.
//
// # What a caller must do
//
//  1. Check an Input that did not come from ParseInput with Validate; Build
//     does so itself and returns the error.
//  2. Use one Input for Build and for Measure; Measure trusts its tree.
//  3. Look at Tree.Unattached: the paper's construction does not always span
//     (see below), and a tree that does not span is returned, not refused.
//
// The package is pure. Data aggregators compute the same tree each for
// themselves, so everything a tree depends on is an integer: trust in 1e-4,
// overheads in microseconds, links and weights whole numbers. The only floats
// are the two ratios of Metrics made for people, Trust and Coverage.
//
// # The construction (section 3.2)
//
// Step 1 parts the nodes: trust of at least the threshold first. Step 2 sorts
// the trusted ones by wt*trust + wl*links, best first. Step 3 moves those to
// which the best one's overhead exceeds the threshold behind the other trusted
// ones. Step 4 attaches breadth first: each node of the sequence takes as many
// of the following nodes as it has links. Sorting dominates: O(n log n).
//
// # Where the paper is silent or wrong
//
// WCT, LFT and TFT are the paper's mode: they do what the text says, weaknesses
// included, so that they can be measured.
//
//   - Ties go to the lower index. An index can be gamed; a system that lets
//     nodes choose theirs must order them before they come here.
//   - "Insert after v_j", done node by node, would reverse the order of the
//     demoted nodes. They keep their score order here.
//   - Step 3 looks at the root's overheads only. Other edges may exceed the
//     threshold: Metrics.EdgesOverThreshold counts them. If the root is dear to
//     all, all are demoted alike and the step changes nothing.
//   - The text loops for ever when links run out. The nodes left over are
//     listed in Tree.Unattached.
//   - With no trusted node, steps 2 and 3 are void and the given order stands.
//   - Overall trust is a mean over forwarding tasks, not reliability; Coverage
//     says which share of nodes a block reaches if nobody sends twice.
//
// # Communication models
//
// TimeExact and ConcurrencyExact let a node send to all its children at once
// as soon as it has the block; TimeLevel waits for each level to finish.
// TimeBusy needs no tree: any link that falls free takes the next node of the
// sequence. The earliest free link goes first, of equal ones that of the node
// earlier in the sequence.
//
// A sparse overhead list (Input.SparseOverheadUs) stands for a matrix whose
// unlisted pairs are unmeasured. An unmeasured edge counts as one microsecond
// over the threshold: nobody may gain by not measuring.
//
// # The overhead-aware tree
//
// OCT is ours. The WCT's edges ignore the overheads beyond the root's own; ours
// is built for the time at which the last node has the block, and falls below
// the WCT of the same input in nothing: attached nodes, trust sum, coverage,
// both concurrencies, both times, edges over the threshold, and edges from
// untrusted nodes. If nothing better is found it is the WCT. Read its Edges:
// Attach(Sequence) gives another tree, since not every link is used.
//
// It starts from trees whose nodes forward to as many as in the WCT, which has
// the WCT's trust sum: grow attaches by earliest arrival, growLevels matches
// level by level. Then search anneals (dense, up to 250 nodes) or only descends
// (up to 20,000): it exchanges nodes and subtrees, moves subtrees, re-hangs
// links of a chain. A change costs the way up to the root (shape), and a walk
// over the tree only if it is about to be accepted. What may be returned is
// decided without rounding (floor): coverages that the fixed point cannot tell
// apart are compared as fractions.
//
// The search counts steps and draws from SplitMix64 seeded by a hash of the
// input, and every number in it is whole, so all architectures and all data
// aggregators get the same tree. Refused: floats in the annealing's acceptance
// (the logarithm is a straight line between powers of two instead), and wall
// time as a budget.
//
// BuildLed builds the tree under a root that is given: the running system's
// sequence of accounting nodes is the paper's, and the tree below each is ours
// (or the paper's, by choice). Its floor is the attachment of that sequence.
//
// Repair mends a tree after one change; Update keeps a tree in use until a
// rebuilt one gains enough. docs/experiments.md has the figures.
//
// # Ids
//
// With Input.IDs the order in which nodes are given says nothing: ties go to
// the lower id.
package wct
