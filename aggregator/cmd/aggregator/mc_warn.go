package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"fairwatt/aggregator/mc"
	"fairwatt/proto/fairwattpb"
)

// maxSource bounds a published warning: CAP messages have some kB.
const maxSource = 16 << 20

func mcWarnCommand() *cobra.Command {
	var centre centreFlags
	var area, kind, from, until, source string
	cmd := &cobra.Command{
		Use:   "warn --config FILE --area SITE --kind KIND --until TIME --source FILE",
		Short: "Bring an official warning to the chain",
		Long: `Bring an official warning to the chain, where the genesis wants a witness of a gate that
closed (excuses: witnessed). It bears out the gates of the area that a hazard of its kind
closes in its time: from the block that has it on, and as long before as the genesis'
witness_ms. Send it when it is published; later it excuses nothing.

The chain keeps the hash of --source, the warning as it was published (a CAP message): keep
the file to show what it said.`,
		Example: `  aggregator mc warn --config community/mc-1/mc.yaml --area hill --kind wind --until 2026-11-28T06:00:00Z --source gale.cap.xml
  aggregator mc warn --config community/mc-1/mc.yaml --area hill --kind thunderstorm --from 2026-11-28T12:00:00Z --until 2026-11-28T18:00:00Z --source storm.cap.xml`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if area == "" || kind == "" || until == "" || source == "" {
				return usagef("--area, --kind, --until and --source are required")
			}
			n, err := warningOf(area, kind, from, until, time.Now())
			if err != nil {
				return err
			}
			if n.SourceHash, err = hashOf(source, "source", maxSource); err != nil {
				return err
			}
			return centre.run(cmd, func(ctx context.Context, c *mc.Centre) error { return c.Warn(ctx, n) })
		},
	}
	centre.add(cmd)
	f := cmd.Flags()
	f.StringVar(&area, "area", "", "site whose gates it concerns")
	f.StringVar(&kind, "kind", "", "kind of the hazard: thunderstorm, wind, cyclone, rain, heat or line")
	f.StringVar(&from, "from", "", "when it begins, as 2026-11-28T06:00:00Z; now, by default")
	f.StringVar(&until, "until", "", "when it ends")
	f.StringVar(&source, "source", "", "file of the warning as it was published")
	return cmd
}

// warningOf is a warning but for its source.
func warningOf(area, kind, from, until string, now time.Time) (*fairwattpb.WarningNotice, error) {
	begin := now
	if from != "" {
		var err error
		if begin, err = time.Parse(time.RFC3339, from); err != nil {
			return nil, usagef("--from %.40q: want a time such as 2026-11-28T06:00:00Z", from)
		}
	}
	end, err := time.Parse(time.RFC3339, until)
	if err != nil {
		return nil, usagef("--until %.40q: want a time such as 2026-11-28T06:00:00Z", until)
	}
	if !end.After(begin) {
		return nil, usagef("--until %s is not after %s", until, begin.UTC().Format(time.RFC3339))
	}
	return &fairwattpb.WarningNotice{Area: area, Kind: kind, FromMs: begin.UnixMilli(), UntilMs: end.UnixMilli()}, nil
}
