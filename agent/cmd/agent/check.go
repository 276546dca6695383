package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"fairwatt/agent"
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
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check --config FILE",
		Short: "Read every configured sensor once and print what it says",
		Long: `Finds and reads every configured sensor once and prints a table: bus, address,
chip, value, unit, and ok or why not. It exits with 1 when a sensor is missing
or gives no value.`,
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
	return cmd
}

// settle is how long pulse counters and averaging chips get before their
// first reading counts.
const settle = 12 * time.Second

// check reads every sensor; pulse sensors, which need time, are read again
// until they have a value or the time is up.
func check(ctx context.Context, cfg *agent.Config) (lines []checkLine, err error) {
	hw, err := openHardware(ctx, cfg)
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
	for i, one := range hw.sensors {
		d := hw.configs[i].Describe()
		var sample model.Sample
		readErr := one.Read(ctx, &sample)
		for deadline := time.Now().Add(settle); readErr != nil && time.Now().Before(deadline) && d.Address == hw.configs[i].Pin; {
			timer := time.NewTimer(time.Second)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return nil, ctx.Err()
			}
			sample = model.Sample{}
			readErr = one.Read(ctx, &sample)
		}
		for _, c := range one.Channels() {
			line := checkLine{
				Sensor: d.Name, Bus: d.Bus, Address: d.Address, Chip: d.Chip,
				Channel: c.String(), Unit: c.Info().Unit,
			}
			if v, ok := sample.Get(c); ok {
				line.Value, line.OK = &v, true
			} else if readErr != nil {
				line.Why = readErr.Error()
			} else {
				line.Why = sample.Validity[c].String()
			}
			lines = append(lines, line)
		}
		if err := one.Halt(); err != nil {
			return nil, fmt.Errorf("halt %s: %w", d.Name, err)
		}
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
