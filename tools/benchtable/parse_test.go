package main

import (
	"strings"
	"testing"
	"time"
)

const output = `goos: linux
goarch: amd64
pkg: fairwatt/example
BenchmarkReplayYear-2   	      18	  20000000 ns/op	  56.15 MB/s	 1343962 B/op
BenchmarkBuild/n=1000-2 	       1	   1500000 ns/op
BenchmarkBuild/n=10-2   	       1	      1500 ns/op
BenchmarkMembers/16-members/250-per-s-2 	       1	         0 ns/op	        41.50 p50-ms	       230.0 p99-ms	       249 records/s
BenchmarkDoor-2         	   50000	         0 ns/op	        88.50 p50_ms	       210.0 p99_ms	      9000 records/s
PASS
ok  	fairwatt/example	2.0s
`

func TestParse(t *testing.T) {
	rows := []row{
		{"ReplayYear", "ns/op", "replay", "samples/s", 0, 8760, ""},
		{"ReplayYear", "MB/s", "reading", "MB/s", 1, 0, ""},
		{"Build/n=1000", "ns/op", "tree", "ms", 1e-6, 0, "of 1000"},
	}
	figures, err := parse(strings.NewReader(output), append(append(rows, agreement("Door", "door", "here")...), members(16, 250, "members").rows...))
	if err != nil {
		t.Fatal(err)
	}
	want := []figure{
		{"replay", 438_000, "samples/s", ""},
		{"reading", 56.15, "MB/s", ""},
		{"tree", 1.5, "ms", "of 1000"},
		{"door: records", 9000, "records/s", "here"},
		{"door: ATCT p50", 88.5, "ms", "to final at every DA"},
		{"door: ATCT p99", 210, "ms", "to final at every DA"},
		{"members: records", 249, "records/s", membersNote},
		{"members: p50", 41.5, "ms", membersNote},
		{"members: p99", 230, "ms", membersNote},
	}
	if len(figures) != len(want) {
		t.Fatalf("%d figures, want %d: %v", len(figures), len(want), figures)
	}
	for i, w := range want {
		g := figures[i]
		if d := g.Value - w.Value; g.Name != w.Name || g.Unit != w.Unit || g.Note != w.Note || d > 1e-6*w.Value || d < -1e-6*w.Value {
			t.Errorf("figure %d: %+v, want %+v", i, g, w)
		}
	}
}

func TestParseMissesABenchmark(t *testing.T) {
	for _, r := range []row{
		{bench: "Renamed", unit: "ns/op"},
		{bench: "Door", unit: "p95_ms"},
		{bench: "Build", unit: "ns/op"}, // only with a parameter
	} {
		_, err := parse(strings.NewReader(output), []row{r})
		if err == nil || !strings.Contains(err.Error(), r.bench) {
			t.Errorf("%s %s: error %v, want one that names the benchmark", r.bench, r.unit, err)
		}
	}
	if _, err := parse(strings.NewReader("BenchmarkDoor-2 many 5 ns/op\n"), nil); err == nil {
		t.Error("a malformed line gives no error")
	}
}

func TestStatusMB(t *testing.T) {
	const status = "Name:\tagent\nVmHWM:\t   24000 kB\nVmRSS:\t   20000 kB\n"
	if mb, err := statusMB(strings.NewReader(status), "VmRSS"); err != nil || mb != 20.48 {
		t.Errorf("VmRSS %v, error %v, want 20.48", mb, err)
	}
	if _, err := statusMB(strings.NewReader(status), "VmSwap"); err == nil {
		t.Error("a missing line gives no error")
	}
	if _, err := statusMB(strings.NewReader("VmRSS:\tmany kB\n"), "VmRSS"); err == nil {
		t.Error("a malformed size gives no error")
	}
}

func TestUnitEnvironment(t *testing.T) {
	env, err := unitEnvironment("../../" + unit)
	if err != nil || len(env) != 2 || !strings.HasPrefix(env[0], "GOGC=") || !strings.HasPrefix(env[1], "GOMEMLIMIT=") {
		t.Errorf("%q, %v, want GOGC and GOMEMLIMIT", env, err)
	}
	if _, err := unitEnvironment("parse_test.go"); err == nil {
		t.Error("a file without Environment= gives no error")
	}
}

func TestStatBusy(t *testing.T) {
	const stat = "123 (data ) aggregator) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0\n"
	if busy, err := statBusy(stat); err != nil || busy != 2*time.Second {
		t.Errorf("%v, error %v, want 2s of user and system time", busy, err)
	}
	for _, bad := range []string{"", "123 (x) S 1 2 3", strings.Replace(stat, " 150 ", " many ", 1)} {
		if _, err := statBusy(bad); err == nil {
			t.Errorf("%q gives no error", bad)
		}
	}
}

func TestIOWritten(t *testing.T) {
	const text = "wchar: 9\nwrite_bytes: 4096\ncancelled_write_bytes: 7\n"
	if n, err := ioWritten(text); err != nil || n != 4096 {
		t.Errorf("%d, error %v, want 4096", n, err)
	}
	for _, bad := range []string{"wchar: 9\n", "write_bytes: many\n"} {
		if _, err := ioWritten(bad); err == nil {
			t.Errorf("%q gives no error", bad)
		}
	}
}
