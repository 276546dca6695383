// Package line finds line faults in recorded three-phase currents and
// voltages, row by row, and measures how that carries over to a fault type it
// has never seen.
//
// # Using it
//
//	set, err := line.Read(r, "detect")
//	results, err := line.LeaveOneOut(ctx, set, line.DefaultConfig(), fit)
//
// fit trains one classifier (a small network, or logistic regression); the
// package itself holds the data, the features and the measuring. Nothing here
// runs live: the live rules on waveforms are elsewhere and need no training.
//
// # Design
//
// Recordings are samples of waveforms without a time column, one stretch per
// fault type. A row's features come from it and the row before alone: the
// amplitude of a sinusoid is sqrt(x^2 + (x'/w)^2), so neither a whole cycle's
// delay nor its after-effect is paid. There are two: the lowest
// apparent impedance of a phase, what a distance relay looks at (Ziegler,
// Numerical Distance Protection), and the lowest voltage. Load moves the first
// by a factor of four here and faults by twenty, and the second not at all. The
// largest current, which is the plain rule to beat, moves with the load. Unbalances and the residual current were tried and left out:
// they know the fault types trained on, and carried over worse to the others.
//
// Each simulation's currents are multiplied by another load factor, drawn
// separately for training and for the test. The held-out type is never in the
// training rows. A simulation is the normal stretch before a fault and the
// fault; a random split of rows would put neighbours of every test row into
// training and is not offered.
package line
