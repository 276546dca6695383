package main

import (
	"syscall"
	"testing"
	"time"

	"fairwatt/agent"
)

// A clock counts as synchronised when the kernel says so, however late it is; or
// when the owner says so, if it is later than the program.
func TestClockIsTrustedByTheKernel(t *testing.T) {
	var k syscall.Timex
	if _, err := syscall.Adjtimex(&k); err != nil {
		t.Skipf("the kernel does not say: %v", err)
	}
	for setting, want := range map[string]bool{
		"": k.Status&0x0040 == 0, "kernel": k.Status&0x0040 == 0, agent.ClockTrusted: time.Now().After(notBefore()),
	} {
		if got := trustOf(&agent.Config{Clock: setting})(); got != want {
			t.Errorf("clock %q: trusted %v, want %v (status %#x)", setting, got, want, k.Status)
		}
	}
}
