package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// measureOurs runs BenchmarkAnchor of a test program, at perS records a second or, at 0,
// with inFlight under way, and returns also how many bytes a record has.
func measureOurs(program string, n, perS int) (_ speed, recordBytes int, err error) {
	cmd := exec.Command(program, "-test.run", "^$", "-test.bench", "^BenchmarkAnchor$", "-test.benchtime", fmt.Sprint(n, "x"), "-test.timeout", limit.String())
	cmd.Stderr = os.Stderr
	if perS > 0 {
		cmd.Env = append(os.Environ(), fmt.Sprint("FAIRWATT_PER_S=", perS))
	}
	out, err := cmd.Output()
	if err != nil {
		return speed{}, 0, fmt.Errorf("BenchmarkAnchor: %w\n%s", err, out)
	}
	return parse(out)
}

// parse reads what BenchmarkAnchor reported.
func parse(out []byte) (speed, int, error) {
	found := make(map[string]float64)
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "BenchmarkAnchor") {
			continue
		}
		for i := 2; i+1 < len(fields); i += 2 {
			v, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return speed{}, 0, fmt.Errorf("BenchmarkAnchor: %q is not a number", fields[i])
			}
			found[fields[i+1]] = v
		}
	}
	if err := lines.Err(); err != nil {
		return speed{}, 0, fmt.Errorf("BenchmarkAnchor: %w", err)
	}
	for _, unit := range []string{"records/s", "p50_ms", "p99_ms", "record_bytes"} {
		if found[unit] <= 0 {
			return speed{}, 0, fmt.Errorf("BenchmarkAnchor reported no %s:\n%s", unit, out)
		}
	}
	return speed{found["records/s"], found["p50_ms"], found["p99_ms"]}, int(found["record_bytes"]), nil
}
