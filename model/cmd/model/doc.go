// Command model trains the hazard network and measures it. Its subcommands:
//
//	train     train the network on recorded weather and write the weight file
//	evaluate  measure network and rules against baselines: one task (--task), or
//	          all of them with their goals; eval is the same command
//	plot      draw a replay over time
//	version   say which program and which weights these are
//
// It is a thin edge: model/trace reads the recordings, model/nnet does the work,
// model/replayplot draws. Results go to stdout (JSON with --json), logs and
// progress to stderr; the exit code is 0, 1 for a failure, 2 for wrong usage.
//
// # Design
//
// evaluate is one command, because the table of a task and the goals drawn from
// it must come from the same code. The files follow its parts: weather.go,
// line.go and sensor.go answer one task, goals*.go run all of them, gateprice.go
// decides whether the network may block, robust.go spoils sensors.
//
// The wind table has a baseline "rules": the default thresholds applied to the
// hourly features, on any rows. The gate decision replays the rules themselves,
// with their clear times, on the validation rows alone. The first is an
// approximation that needs no samples in memory; the second decides.
//
// # Sources
//
// docs/model.md is the model card, configs/model holds the training
// configurations.
package main
