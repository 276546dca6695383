// Command model trains the hazard network (train), measures it beside its
// baselines on recorded weather (eval) and names the built-in weights (version).
//
// It is a thin edge: model/trace reads the recordings, model/nnet does the work.
// Results go to stdout (JSON with --json), logs and progress to stderr; the
// exit code is 0, 1 for a failure, 2 for wrong usage. docs/model.md is the model
// card, configs/model holds the training configurations.
package main
