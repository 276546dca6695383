package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"fairwatt/agent/sensor"
	"fairwatt/agent/sensor/simbus"
	"fairwatt/model"
	"fairwatt/proto/loopback"
)

// asProgram makes the test binary run as firmware-sim, for tests that need a
// process.
const asProgram = "FAIRWATT_TEST_AS_FIRMWARE_SIM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(program())
	}
	testscript.Main(m, map[string]func(){"firmware-sim": func() { os.Exit(program()) }})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata", Cmds: map[string]func(*testscript.TestScript, bool, []string){
		"usage":   ends(2),
		"failure": ends(1),
	}})
}

// ends is a script command: the program given ends with this code and one line
// on stderr.
func ends(code int) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) == 0 {
			ts.Fatalf("usage: usage|failure PROGRAM [ARG...]")
		}
		err := ts.Exec(args[0], args[1:]...)
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != code {
			ts.Fatalf("%s: %v, want exit code %d", strings.Join(args, " "), err, code)
		}
		if said := ts.ReadFile("stderr"); strings.Count(said, "\n") != 1 {
			ts.Fatalf("%s: not one line on stderr: %q", strings.Join(args, " "), said)
		}
	}
}

// The files that make the four programs alike are the same files.
func TestFourProgramsShareTheirShell(t *testing.T) {
	for _, name := range []string{"shell.go", "version.go", "shell_test.go", "testdata/shell/shell.txtar"} {
		ours, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, program := range []string{"../agent/cmd/agent", "../aggregator/cmd/aggregator", "../model/cmd/model"} {
			theirs, err := os.ReadFile(filepath.Join(program, name))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(ours, theirs) {
				t.Errorf("%s differs between firmware-sim and %s", name, program)
			}
		}
	}
}

// `firmware-sim board` serves a board that an agent's client reads, and ends with
// 0 at SIGTERM.
func TestBoardIsServed(t *testing.T) {
	addr, err := loopback.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	trace := filepath.Join(t.TempDir(), "trace.csv")
	const rows = "# fairwatt-trace: 1\n# interval_s: 60\ntime,temperature_c,humidity_pct,pressure_hpa,wind_speed_mps,irradiance_wpm2\n" +
		"0,21.5,48,1009,4,500\n60,21.5,48,1009,4,500\n120,21.5,48,1009,4,500\n"
	if err := os.WriteFile(trace, []byte(rows), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "board", "--trace", trace, "--listen", addr)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }() // when the test failed
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	client := dialBoard(ctx, t, addr)
	for _, c := range sensor.StandardConfigs() {
		if c.Kind != sensor.KindBME280 {
			continue
		}
		s, err := sensor.New(c, client)
		if err != nil {
			t.Fatal(err)
		}
		var sample model.Sample
		if err := s.Read(ctx, &sample); err != nil {
			t.Fatal(err)
		}
		for channel, want := range map[model.Channel]float64{model.TemperatureC: 21.5, model.HumidityPct: 48, model.PressureHPa: 1009} {
			if got, ok := sample.Get(channel); !ok || got < want-0.1 || got > want+0.1 {
				t.Errorf("%v is %g (%v), the trace says %g", channel, got, ok, want)
			}
		}
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("told to end: %v\n%s", err, stderr.String())
	}
	if !strings.Contains(stderr.String(), "board on sim://"+addr) || !strings.Contains(stderr.String(), "Simulated") {
		t.Errorf("it said: %s", stderr.String())
	}
}

// dialBoard connects as soon as the program listens.
func dialBoard(ctx context.Context, t *testing.T, addr string) *simbus.Client {
	t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		client, err := simbus.Dial(ctx, "sim://"+addr)
		if err == nil {
			return client
		}
		select {
		case <-ctx.Done():
			t.Fatal(err)
		case <-again.C:
		}
	}
}
