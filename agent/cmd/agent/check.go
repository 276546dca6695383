package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"fairwatt/agent"
	"fairwatt/agent/sensor"
	"fairwatt/model"
)

// A checkLine is one channel of one sensor.
type checkLine struct {
	Sensor  string   `json:"sensor"`
	Bus     string   `json:"bus"`
	Address string   `json:"address"`
	Chip    string   `json:"chip"`
	Channel string   `json:"channel,omitempty"`
	Value   *float64 `json:"value"`
	Unit    string   `json:"unit,omitempty"`
	OK      bool     `json:"ok"`
	Why     string   `json:"why,omitempty"`
}

func checkCommand() *cobra.Command {
	var path string
	var asJSON, tuning bool
	cmd := &cobra.Command{
		Use:   "check --config FILE",
		Short: "Read every configured sensor once and print what it says",
		Long: `Finds and reads every configured sensor once and prints a table: bus, address,
chip, value, unit, and ok or why not. It exits with 1 when a sensor is missing
or gives no value. Settings that let the gate open more easily than the grid
profile's are listed behind the table. With --tune it finds the tuning_cap of lightning detectors
instead, in 4 s each.`,
		Example: "  agent check --config /etc/fairwatt/agent.yaml",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if path == "" {
				return usageError{errors.New("check: --config is missing")}
			}
			cfg, err := agent.LoadConfig(path)
			if err != nil {
				return err
			}
			if tuning {
				return tune(cmd.Context(), cfg, cmd.OutOrStdout())
			}
			lines, err := check(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			if asJSON {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(lines)
			} else {
				err = printCheck(cmd.OutOrStdout(), lines)
			}
			if err != nil {
				return err
			}
			told := cmd.OutOrStdout()
			if asJSON {
				told = cmd.ErrOrStderr()
			}
			for _, l := range cfg.Judge.Loosened() {
				fmt.Fprintln(told, "looser than the grid profile:", l)
			}
			bad := 0
			for _, l := range lines {
				if !l.OK {
					bad++
				}
			}
			if bad > 0 {
				return fmt.Errorf("check: %d of %d readings failed", bad, len(lines))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&path, "config", "", "configuration file (required)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&tuning, "tune", false, "find the tuning_cap of sensors of kind as3935")
	cmd.MarkFlagsMutuallyExclusive("json", "tune")
	return cmd
}

// settle is how long pulse counters and averaging chips get before their
// first reading counts.
const settle = 12 * time.Second

// check reads every sensor; pulse sensors, which need time, are read again
// until they have a value or the time is up.
func check(ctx context.Context, cfg *agent.Config) (lines []checkLine, err error) {
	hw, err := openHardware(ctx, cfg, unheard())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, hw.close.Close()) }()
	for _, m := range hw.missing {
		line := checkLine{Sensor: m.Name, Why: m.Err.Error()}
		for _, c := range cfg.Sensors {
			if d := c.Describe(); d.Name == m.Name {
				line.Bus, line.Address, line.Chip = d.Bus, d.Address, d.Chip
			}
		}
		lines = append(lines, line)
	}
	var voters []sensor.Sensor
	for i, one := range hw.sensors {
		read, err := readSettled(ctx, one, hw.configs[i].CountsPulses() || hw.configs[i].Topic() != "")
		if err != nil {
			return nil, err
		}
		lines = append(lines, linesOf(one, hw.configs[i].Describe(), read)...)
		voters = append(voters, read)
		if err := one.Halt(); err != nil {
			return nil, fmt.Errorf("halt %s: %w", one.Name(), err)
		}
	}
	votes, err := voteLines(ctx, cfg, voters)
	return append(lines, votes...), err
}

// readOnce is a sensor that says again what it said at its one reading.
type readOnce struct {
	sensor.Sensor
	sample model.Sample
	err    error
}

// Read implements sensor.Sensor.
func (r *readOnce) Read(_ context.Context, s *model.Sample) error {
	for _, c := range r.Channels() {
		s.Values[c], s.Validity[c], s.AgeMs[c] = r.sample.Values[c], r.sample.Validity[c], r.sample.AgeMs[c]
	}
	return r.err
}

// readSettled reads a sensor, one that counts pulses or hears messages until it has
// a value or the time is up.
func readSettled(ctx context.Context, one sensor.Sensor, counts bool) (*readOnce, error) {
	r := &readOnce{Sensor: one}
	r.err = one.Read(ctx, &r.sample)
	for deadline := time.Now().Add(settle); r.err != nil && time.Now().Before(deadline) && counts; {
		timer := time.NewTimer(time.Second)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		}
		r.sample = model.Sample{}
		r.err = one.Read(ctx, &r.sample)
	}
	return r, nil
}

// linesOf are the channels of one sensor.
func linesOf(one sensor.Sensor, d sensor.Description, read *readOnce) (lines []checkLine) {
	for _, c := range one.Channels() {
		line := checkLine{
			Sensor: d.Name, Bus: d.Bus, Address: d.Address, Chip: d.Chip, Channel: c.String(), Unit: c.Info().Unit,
		}
		if v, ok := read.sample.Get(c); ok {
			line.Value, line.OK = &v, true
		} else if read.err != nil {
			line.Why = read.err.Error()
		} else {
			line.Why = read.sample.Validity[c].String()
		}
		lines = append(lines, line)
	}
	return lines
}

// voteLines are the channels that several sensors give, with what counts of
// them. Sensors that disagree do not pass the check.
func voteLines(ctx context.Context, cfg *agent.Config, read []sensor.Sensor) (lines []checkLine, err error) {
	senses, err := agent.NewSenses(read, nil, cfg.Judge, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	var sample model.Sample
	senses.Read(ctx, &sample)
	for _, v := range senses.Votes() {
		line := checkLine{
			Sensor: "vote of " + strings.Join(slices.Sorted(maps.Keys(v.Sensors)), ", "), Chip: "-",
			Channel: v.Channel.String(), Value: v.Value, Unit: v.Channel.Info().Unit, OK: v.Value != nil && !v.Disagree,
		}
		if !line.OK {
			line.Why = v.String()
		}
		lines = append(lines, line)
	}
	return lines, nil
}

func printCheck(w io.Writer, lines []checkLine) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SENSOR\tBUS\tADDRESS\tCHIP\tCHANNEL\tVALUE\tUNIT\tRESULT")
	for _, l := range lines {
		value, result := "-", "ok"
		if l.Value != nil {
			value = strconv.FormatFloat(*l.Value, 'f', 3, 64)
		}
		if !l.OK {
			result = l.Why
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.Sensor, dash(l.Bus), dash(l.Address), l.Chip, dash(l.Channel), value, dash(l.Unit), result)
	}
	return t.Flush()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
