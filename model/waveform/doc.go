// Package waveform judges the sampled curves of voltage and current (the _inst
// channels) and raises alerts within cycles of the mains, where the rules of
// package model, fed with RMS values, take seconds.
//
// A [Detector] takes samples one by one at a known rate of 8 samples a cycle to
// 100 kHz. Each half cycle it computes the RMS value of the last whole cycle of
// every phase, as IEC 61000-4-30 describes for Urms(1/2), and of the sums of the
// three phases, and compares them:
//
//	L01 dip                a phase below 90 % of the reference
//	L02 swell              a phase above 110 %
//	L03 interruption       all phases below 5 %
//	L04 residual voltage   zero-sequence voltage above 10 % of the reference
//	L05 residual current   sum of currents risen by 20 % of the phase current
//	L06 over-current       a phase above twice what it was, and above the rating
//
// A dip starts when any phase is low and is over when all are back. The
// reference is a configured nominal voltage, or the voltage before. That is learnt
// from the first steady cycles and then follows with a time constant of a minute;
// it does not move while anything is wrong. Currents are always compared with the
// current before.
//
// Every 10 cycles (12 at 60 Hz) a [Window] gives frequency, RMS, harmonic
// distortion, crest factor and symmetrical components. A window that contains
// a disturbance is flagged.
//
// # The caller's duties
//
// One goroutine owns a Detector. Push every sample in order, with its sampling
// rate. Events are valid until the next Push. A detector only warns: its events
// are separate from those of model.Judge and never open or close the gate.
//
// # Design
//
// Memory is constant: 12 cycles of each channel. Each half cycle sums its window
// again, two additions a sample on average: a running sum would drift and never
// forget a NaN. Where a cycle is no whole number of samples
// (60 Hz at 1 kHz) the oldest sample counts with the fraction left over; what
// remains as ripple is below 0.3 % of the value at 16 samples a cycle.
//
// Windows follow the nominal frequency at a fixed half-cycle rhythm, not the
// zero crossings that the standard uses: a fault moves zero crossings. At 1 % off
// nominal the RMS value ripples by about 0.5 %.
//
// A missing sample makes the RMS values that contain it unknown. What is unknown
// neither raises nor clears. A jump of time or a change of the sampling rate by
// more than 5 % empties the windows; the reference stays.
//
// The residual is the sum of the three phases if all are recorded, else the
// recorded neutral channel: recorders scale 3U0 in
// three ways (sum, sum/3, sum/sqrt 3), and relays put other voltages into that
// input.
//
// Refused: alerts on single samples or on sample-to-sample jumps (switching
// transients would raise them), a Fourier phasor in place of the RMS (no faster,
// and blind to what is not the fundamental), giving up the reference of a
// voltage after some time (an earth fault that stays would become normal).
//
// Thresholds of L01 to L03 are those of IEC 61000-4-30 and EN 50160 as recalled;
// L04 to L06 are this project's choice. This is not a protection relay.
package waveform
