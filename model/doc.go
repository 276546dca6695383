// Package model turns samples into a hazard verdict: may this generator trade
// now? If not, why, and since when?
//
// A [Sample] holds what sensors said at one moment. The [Judge] passes it
// through five stages, in order, on one clock:
//
//  1. Plausibility and age. A reading outside its physical range, one that
//     moved faster than physics allows, one that has not moved for too long,
//     one that contradicts another channel, and one that is too old are not
//     numbers any more but reasons. Where a site has several sensors of a kind,
//     [Vote] joins them before the sample is judged.
//  2. Windows: 10-minute mean and highest gust, 15-minute changes, the 3-hour
//     fall of pressure, "3 of the last 5". Their memory is constant at ten
//     samples a second and at one an hour.
//  3. Rules: each has a kind, a level, a source and the channels it needs. A
//     rule sets at one threshold and clears at another, for a time. A rule for
//     which a site has no channel is listed by [Judge.Unserved], never silently
//     passed.
//  4. Scores: a [Scorer] (the network of model/nnet) names the kinds that it
//     scores. It may add warnings and, for kinds a site allows, blocks. It can
//     never remove one.
//  5. The [Gate]: INIT, BLOCKED, CLEARING, OPEN.
//
// What changed comes back as [Event] values that explain themselves: every
// cause names its rule, inputs, values, ages and thresholds, and a sentence.
//
// # The caller's duties
//
// One goroutine owns a Judge. Call Step with samples in the order of the sensing
// clock, which is monotonic live and the trace's time in a replay; never wall
// time. Between samples call Advance at NextDeadlineMs, or a sensor that falls
// silent goes unnoticed. More calls change nothing. Call SetWall before Restore
// if W08 or the night check is configured. Hand official warnings to Warn
// (model/cap reads them), and people's words to Say, with the wall clock told by
// BlockClock before each Step. Name the required inputs in the configuration: a judge
// that requires nothing notices only the end of all samples. Keep Snapshot on
// disk and hand it to Restore. The events of a call are valid until the next.
//
// # Failing closed
//
// The gate starts blocked and opens after all required inputs were valid and
// the grid within its enter-service limits for the enter-service time. A cause
// blocks in the same step. A cause whose sensor goes away stands. Six
// invariants are property tests: (a) without a cause the gate opens in the
// end; (b) with one it is never open; (c) taking a sensor away never opens it;
// (d) adding a score never opens it; (e) only differences of the sensing clock
// count; (f) a restart never shortens a hold. So is: faults of sensors, in any
// order, never open it. And: nothing that a person says opens it over a cause.
// docs/fail-safe.md lists faults and reactions as tests
// observed them.
//
// # Design
//
// One hazard is one file (hazards.go lists them): grid, overload, quality,
// earth, wind, squall, cyclone, icing, lightning, plant, sensor, network,
// warning, person. The rest is vocabulary (channel, kind, sample, event, cause, config),
// the network's input (features*) and the machine (judge, rules, gate, evidence,
// inputs, crosscheck, vote, window, snapshot, explain, word).
//
// Clear times belong to rules, because a warning has one too. Latches, the
// shortest block and the limit on reopenings belong to the gate. Windows end at
// their newest reading instead of at the present: between samples a verdict
// changes only at deadlines that are known beforehand. A window that empties is
// noticed at the next sample. N of M counts seconds: where a reading stands for
// five seconds or more, one is enough. A second gate runs without the network,
// and the first opens only when that one may. Otherwise a block by the network
// could save an opening that the limit on reopenings counts.
//
// Refused: replacing a bad value by the last good one (a stuck sensor would
// look calm); averaging two sensors that disagree (the mean of a true value and
// a false one is false: the unsafe one counts); a curve fitted to the daily
// course of pressure (the same hour of the past days removes it too, in
// integers); timers of the operating system (a replay must give the events of
// the live run); float scores in gate and alert events (they differ in the last
// bits between architectures; the score events carry them, rounded).
//
// Neighbours ([Judge.Hear], model/neighbours) reach the network's inputs and nothing
// else: they may warn, and a site's network blocks only by what it would say without
// them.
//
// The thresholds come from IEEE 1547-2018, EN 50549-1, WMO, Met Office and NWS
// usage as recalled or read in secondary sources; each rule's Source says
// which. All are configurable. Nothing here claims conformity with any
// standard: this is a trading interlock, not a protection relay, and must
// never be the only barrier to harm.
package model
