package main

import (
	"testing"

	"fairwatt/firmware-sim/grid"
)

// The traces of a folder are as many as they are: `make run TRACES=configs/traces` plays
// each of them to a generator.
func TestAFolderOfTracesHasItsGenerators(t *testing.T) {
	cfg := grid.DefaultConfig()
	usual := cfg.Agents
	if got := agentsFor(cfg); got != usual {
		t.Errorf("without traces %d generators, want %d", got, usual)
	}
	var err error
	if cfg.Traces, err = tracesIn("../configs/traces"); err != nil {
		t.Fatal(err)
	}
	if len(cfg.Traces) <= usual {
		t.Fatalf("only %d traces: this shows nothing", len(cfg.Traces))
	}
	if cfg.Agents = agentsFor(cfg); cfg.Agents != len(cfg.Traces) {
		t.Errorf("%d generators for %d traces", cfg.Agents, len(cfg.Traces))
	}
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
}
