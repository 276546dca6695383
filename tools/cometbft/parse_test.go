package main

import "testing"

// A benchmark that reports less than what is compared is an error, not a zero.
func TestParse(t *testing.T) {
	const line = "BenchmarkAnchor-2 \t 20000\t 0 ns/op\t 41.5 p50_ms\t 180 p99_ms\t 217 record_bytes\t 8100 records/s\t 0 view_changes\n"
	got, bytes, err := parse([]byte("goos: linux\n" + line + "PASS\n"))
	if err != nil || got != (speed{8100, 41.5, 180}) || bytes != 217 {
		t.Errorf("got %+v, %d bytes, %v", got, bytes, err)
	}
	for _, out := range []string{"", "PASS\n", "BenchmarkAnchor-2 20000 41.5 p50_ms 180 p99_ms\n", "BenchmarkAnchor-2 20000 x p50_ms\n"} {
		if got, _, err := parse([]byte(out)); err == nil {
			t.Errorf("%q: read as %+v", out, got)
		}
	}
}
