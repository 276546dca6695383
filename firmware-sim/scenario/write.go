package scenario

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"time"
)

// Write writes a scenario as a trace (CSV, version 1).
func Write(w io.Writer, o Options) error {
	if err := o.Validate(); err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	fmt.Fprintln(out, "# fairwatt-trace: 1")
	for _, m := range o.metadata() {
		fmt.Fprintf(out, "# %s: %s\n", m[0], m[1])
	}
	channels := Channels()
	out.WriteString("time")
	for _, c := range channels {
		out.WriteString("," + c.String())
	}
	fmt.Fprintf(out, ",%s,%s\n", LabelThunder, LabelLine)
	var line []byte
	err := Generate(o, func(r *Row) error {
		line = time.UnixMilli(r.Sample.TimeMs).UTC().AppendFormat(line[:0], time.RFC3339Nano)
		for _, c := range channels {
			line = append(line, ',')
			if v, ok := r.Sample.Get(c); ok {
				line = strconv.AppendFloat(line, v, 'f', -1, 64)
			}
		}
		line = append(line, ',', '0'+byte(boolean(r.Thunder)), ',', '0'+byte(boolean(r.Line)), '\n')
		_, err := out.Write(line)
		return err
	})
	if err != nil {
		return fmt.Errorf("write scenario: %w", err)
	}
	// A bufio.Writer keeps its first error, so this one covers all of the above.
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write scenario: %w", err)
	}
	return nil
}

func (o Options) metadata() [][2]string {
	number := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
	return [][2]string{
		{"site", "sim-" + o.Name},
		{"latitude", number(latitude)},
		{"longitude", number(longitude)},
		{"interval_s", number(o.Interval.Seconds())},
		{"nominal_voltage_v", number(o.Plant.NominalVoltageV)},
		{"nominal_frequency_hz", number(o.Plant.NominalFrequencyHz)},
		{"source", o.Source()},
		{"licence", "Apache-2.0"},
		{"simulated", "true"},
		{"note", Describe(o.Name) + "; time is the end of the interval, gust its largest; lightning_km 63 is out of range"},
	}
}
