package main

import (
	"bytes"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// The brokers are processes of this program, so of this test too.
func TestMain(m *testing.M) {
	if slices.Contains(os.Args, "-serve") {
		main()
		return
	}
	os.Exit(m.Run())
}

// Both brokers carry a small load, lose nothing of it, and each figure is a measured one.
func TestMeasure(t *testing.T) {
	var out bytes.Buffer
	if err := measure(&out, plan{pairs: 1, clients: 3, messages: 60, steady: 300 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mochi", "nats-server"} {
		at := strings.Index(out.String(), "| "+name+" |")
		if at < 0 {
			t.Fatalf("no row of %s in:\n%s", name, out.String())
		}
		row, _, _ := strings.Cut(out.String()[at:], "\n")
		if !strings.HasSuffix(row, " | 0 |") {
			t.Errorf("messages were lost: %s", row)
		}
		if regexp.MustCompile(`\| (0|0\.0)( |$)`).MatchString(strings.TrimSuffix(row, "| 0 |")) {
			t.Errorf("a figure of 0 was not measured: %s", row)
		}
	}
}

func TestPlans(t *testing.T) {
	good := plan{1, 1, 1, time.Second}
	if err := good.check(); err != nil {
		t.Error(err)
	}
	for _, bad := range []plan{{0, 1, 1, time.Second}, {1, 0, 1, time.Second}, {1, 2, 1, time.Second}, {1, 1, 1, time.Millisecond}} {
		if err := bad.check(); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

func TestUnknownBroker(t *testing.T) {
	if err := be("mosquito", "127.0.0.1:0", ""); err == nil || !strings.Contains(err.Error(), "mosquito") {
		t.Errorf("an unknown broker: %v", err)
	}
}

func TestMedian(t *testing.T) {
	of := []result{{lost: 9}, {lost: 1}, {lost: 2}}
	if got := median(of, func(r result) float64 { return float64(r.lost) }); got != 2 {
		t.Errorf("the median of 9, 1, 2 is %v", got)
	}
}
