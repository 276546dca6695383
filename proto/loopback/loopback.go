package loopback

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
)

const (
	lowest = 10_000
	tries  = 1_000
	// rangeFile is where Linux says from which port on connections get theirs (ip(7)).
	rangeFile = "/proc/sys/net/ipv4/ip_local_port_range"
	// usual is that port where the file cannot be read: Linux' own default.
	usual = 32_768
)

// FreePorts returns the first of n ports in a row on which nobody listens and which no
// outgoing connection is given.
func FreePorts(n int) (int, error) {
	below := connectionsFrom()
	if n < 1 || n > below-lowest {
		return 0, fmt.Errorf("%d free ports: the ports from %d to below %d are fewer, see %s", n, lowest, below, rangeFile)
	}
	var last error
	for range tries {
		first := lowest + rand.IntN(below-lowest-n+1)
		if last = free(first, n); last == nil {
			return first, nil
		}
	}
	return 0, fmt.Errorf("find %d free ports in a row: %w", n, last)
}

// FreeAddress returns an address, host and port, on which nobody listens.
func FreeAddress() (string, error) {
	port, err := FreePorts(1)
	return address(port), err
}

func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// connectionsFrom is the first port that the system gives to outgoing connections.
func connectionsFrom() int {
	b, err := os.ReadFile(rangeFile)
	if err != nil {
		return usual // no Linux, or no /proc
	}
	return parseRange(string(b))
}

func parseRange(text string) int {
	var from, to int
	if n, _ := fmt.Sscan(text, &from, &to); n != 2 || from > to { // what it says is checked, however it was read
		return usual
	}
	return from
}

// free tells whether nobody listens on n ports from first on.
func free(first, n int) error {
	for port := first; port < first+n; port++ {
		l, err := net.Listen("tcp", address(port))
		if err != nil {
			return err
		}
		if err := l.Close(); err != nil {
			return err
		}
	}
	return nil
}
