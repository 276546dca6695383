package main

import (
	"time"

	"fairwatt/agent"
)

// trustOf says how the wall clock is trusted. Who writes that it is trusted takes it
// on himself; one from before this program was made is refused all the same.
func trustOf(cfg *agent.Config) func() bool {
	if cfg.Clock == agent.ClockTrusted {
		return func() bool { return time.Now().After(notBefore()) }
	}
	return clockSynced
}
