package loopback

import (
	"net"
	"testing"
)

// A port is free, and none that an outgoing connection may be given while its server is down.
func TestFreePorts(t *testing.T) {
	const n = 12
	first, err := FreePorts(n)
	if err != nil {
		t.Fatal(err)
	}
	if first < lowest || first+n > connectionsFrom() {
		t.Errorf("ports %d to %d are not between %d and %d", first, first+n-1, lowest, connectionsFrom())
	}
	for port := first; port < first+n; port++ {
		l, err := net.Listen("tcp", address(port))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() }) // the test is over
	}
	if err := free(first, 1); err == nil {
		t.Errorf("port %d is listened on, and called free", first)
	}
	if err := free(first-1, 2); err == nil {
		t.Errorf("ports %d and %d are called free", first-1, first)
	}
}

func TestFreePortsRefuses(t *testing.T) {
	for _, n := range []int{-1, 0, 65_536} {
		if port, err := FreePorts(n); err == nil {
			t.Errorf("%d ports: %d", n, port)
		}
	}
}

func TestParseRange(t *testing.T) {
	for text, want := range map[string]int{
		"32768\t60999\n": 32_768, "40000 50000": 40_000, "": usual, "x 1": usual, "15000": usual, "9 1": usual,
	} {
		if got := parseRange(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}
