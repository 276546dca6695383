package view

import (
	"testing"
	"time"
)

// The CAP form of an alert is for other programs; a watcher has the alert.
func TestFleetPassesOverCAP(t *testing.T) {
	f := NewFleet()
	if line, err := f.Take("fairwatt/v1/farm-1/pv-1/alert/cap", []byte("<?xml version=\"1.0\"?><alert/>"), time.Unix(0, 0)); err != nil || line != "" {
		t.Errorf("%q, %v", line, err)
	}
	if _, err := f.Take("fairwatt/v1/farm-1/pv-1/alert", []byte("<alert/>"), time.Unix(0, 0)); err == nil {
		t.Error("XML passes for an alert's view")
	}
}
