package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/mc"
	"fairwatt/proto/brief"
	"fairwatt/proto/fairwattpb"
)

// meterFlags describe one meter.
type meterFlags struct {
	centreFlags
	owner, meter, site, direction, serial string
	rated, start                          int64
	class                                 float64
}

func (m *meterFlags) add(cmd *cobra.Command, all bool) {
	m.centreFlags.add(cmd)
	f := cmd.Flags()
	f.StringVar(&m.meter, "meter", "", "its id on the chain: the owner's id, '-' and the name in the agent's configuration")
	if !all {
		return
	}
	f.StringVar(&m.owner, "owner", "", "id of the participant whose meter it is")
	f.StringVar(&m.site, "site", "", "its site")
	f.StringVar(&m.direction, "direction", "", "what it counts: import, export or both")
	f.StringVar(&m.serial, "serial", "", "serial number, as it stands on the meter (default: its id)")
	f.Int64Var(&m.rated, "rated-w", 25_000, "the most that its branch carries, in W")
	f.Int64Var(&m.start, "start-wh", 0, "its register now, in Wh")
	f.Float64Var(&m.class, "class", 1, "accuracy class, in per cent")
}

// registration is the meter of the flags, or what is wrong with them.
func (m *meterFlags) registration() (*fairwattpb.MeterRegistration, error) {
	way, ok := map[string]fairwattpb.MeterDirection{
		"import": fairwattpb.MeterDirection_METER_DIRECTION_IMPORT,
		"export": fairwattpb.MeterDirection_METER_DIRECTION_EXPORT,
		"both":   fairwattpb.MeterDirection_METER_DIRECTION_BOTH,
	}[m.direction]
	switch {
	case m.owner == "" || m.meter == "" || m.site == "":
		return nil, usagef("--owner, --meter and --site are required")
	case !ok:
		return nil, usagef("--direction %s: import, export or both", m.direction)
	case m.rated < 1 || m.rated > ledger.MaxRatedW:
		return nil, usagef("--rated-w %d: 1 to %d", m.rated, int64(ledger.MaxRatedW))
	case m.class <= 0 || m.class > 5:
		return nil, usagef("--class %v: above 0, at most 5", m.class)
	case m.start < 0 || m.start > ledger.MaxRegisterWh:
		return nil, usagef("--start-wh %d: 0 to %d", m.start, int64(ledger.MaxRegisterWh))
	}
	serial := m.serial
	if serial == "" {
		serial = m.meter
	}
	return &fairwattpb.MeterRegistration{
		Meter: m.meter, Owner: m.owner, Site: m.site, Direction: way, Serial: serial, RatedW: m.rated,
		ClassE4: uint32(m.class*100 + 0.5), StartWh: m.start,
	}, nil
}

func mcMeterCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "meter",
		Short: "Register, replace and retire energy meters",
		Long: `Register, replace and retire energy meters. A trade is measured by registered
meters only: each has one owner, a serial number that stands once on the chain,
and a rated power that its readings may not pass.`,
		Example: "  aggregator mc meter add --config mc.yaml --owner pv-1 --meter pv-1-sold --site harbour --direction export",
		Args:    noArgs,
		RunE:    helpOnly,
	}
	cmd.AddCommand(mcMeterAddCommand(), mcMeterChangeCommand(), mcMeterRetireCommand())
	return cmd
}

func mcMeterAddCommand() *cobra.Command {
	var m meterFlags
	cmd := &cobra.Command{
		Use:     "add --config FILE --owner ID --meter ID --site SITE --direction import|export|both",
		Short:   "Register a participant's meter",
		Long:    "Register a participant's meter, and return when the chain has it.",
		Example: "  aggregator mc meter add --config mc.yaml --owner pv-1 --meter pv-1-sold --site harbour --direction export --rated-w 8000 --serial 4711",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := m.registration()
			if err != nil {
				return err
			}
			return m.run(cmd, func(ctx context.Context, c *mc.Centre) error { return c.RegisterMeter(ctx, r) })
		},
	}
	m.add(cmd, true)
	return cmd
}

func mcMeterChangeCommand() *cobra.Command {
	var m meterFlags
	var old string
	var end int64
	cmd := &cobra.Command{
		Use:   "change --config FILE --old ID --old-end-wh WH --owner ID --meter ID --site SITE --direction import|export|both",
		Short: "Put a meter in the place of another",
		Long: `Put a new meter in the place of an old one of the same owner, and return when the
chain has it. The old one must measure no trade; its id is not used again.`,
		Example: "  aggregator mc meter change --config mc.yaml --old pv-1-sold --old-end-wh 81200 --owner pv-1 --meter pv-1-sold2 --site harbour --direction export",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := m.registration()
			if err != nil {
				return err
			}
			if old == "" || end < 0 {
				return usagef("--old and --old-end-wh, 0 or more, are required")
			}
			change := &fairwattpb.MeterChange{Old: old, OldEndWh: end, New: r}
			return m.run(cmd, func(ctx context.Context, c *mc.Centre) error { return c.ChangeMeter(ctx, change) })
		},
	}
	m.add(cmd, true)
	cmd.Flags().StringVar(&old, "old", "", "id of the meter that is taken out")
	cmd.Flags().Int64Var(&end, "old-end-wh", -1, "its last register, in Wh")
	return cmd
}

func mcMeterRetireCommand() *cobra.Command {
	var m meterFlags
	var end int64
	cmd := &cobra.Command{
		Use:     "retire --config FILE --meter ID --end-wh WH",
		Short:   "Take a meter out of use",
		Long:    "Take a meter out of use, and return when the chain has done so. It must measure no trade.",
		Example: "  aggregator mc meter retire --config mc.yaml --meter pv-1-sold --end-wh 81200",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if m.meter == "" || end < 0 {
				return usagef("--meter and --end-wh, 0 or more, are required")
			}
			r := &fairwattpb.MeterRetire{Meter: m.meter, EndWh: end}
			return m.run(cmd, func(ctx context.Context, c *mc.Centre) error { return c.RetireMeter(ctx, r) })
		},
	}
	m.add(cmd, false)
	cmd.Flags().Int64Var(&end, "end-wh", -1, "its last register, in Wh")
	return cmd
}

// metersOf are the meters that `mc register` names, each NAME or NAME=WH where its
// register does not stand at zero: of a seller they count what it gives, of a buyer what
// it takes.
func metersOf(r *fairwattpb.Registration, names []string, ratedW int64) ([]*fairwattpb.MeterRegistration, error) {
	var way fairwattpb.MeterDirection
	for _, role := range r.GetRoles() {
		if role == fairwattpb.Role_ROLE_SELLER {
			way |= fairwattpb.MeterDirection_METER_DIRECTION_EXPORT
		} else {
			way |= fairwattpb.MeterDirection_METER_DIRECTION_IMPORT
		}
	}
	if ratedW < 1 || ratedW > ledger.MaxRatedW {
		return nil, usagef("--rated-w %d: 1 to %d", ratedW, int64(ledger.MaxRatedW))
	}
	var out []*fairwattpb.MeterRegistration
	for _, meter := range names {
		name, register, started := strings.Cut(meter, "=")
		var startWh int64
		if started {
			var err error
			if startWh, err = strconv.ParseInt(register, 10, 64); err != nil || startWh < 0 {
				return nil, usagef("--meter %s: NAME=WH with what its register shows now, a whole number of Wh from 0", brief.Quote(meter))
			}
		}
		id := r.GetId() + "-" + name
		out = append(out, &fairwattpb.MeterRegistration{
			Meter: id, Owner: r.GetId(), Site: r.GetSite(), Direction: way, Serial: id, RatedW: ratedW, ClassE4: r.GetMeterClassE4(), StartWh: startWh,
		})
	}
	return out, nil
}
