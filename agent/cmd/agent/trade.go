package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"sort"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"fairwatt/agent/view"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/wire"
)

func tradeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trade",
		Short: "Show and steer the trades of running agents",
		Long: `Trades are made by a running agent as its configuration says (sections sell and buy), and
as its owner says here: prices, hours, limits, a pause, a dry run. What is said is kept over
a restart.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(tradeListCommand())
	cmd.AddCommand(tradeSays()...)
	return cmd
}

func tradeListCommand() *cobra.Command {
	var url, ca, cert, key, device string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list --mqtt URL",
		Short: "List offers and open trades",
		Long: `Lists the standing offer and the open trades of every agent the broker lets you
read, from their retained messages.`,
		Example: "  agent trade list --mqtt tcp://127.0.0.1:1883 --device pv-1",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			pipe, err := watchPipe(url, ca, cert, key, logger(slog.LevelError))
			if err != nil {
				return err
			}
			trades, err := listTrades(cmd.Context(), pipe, url, device)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(trades)
			}
			return printTrades(cmd.OutOrStdout(), trades)
		},
	}
	watchFlags(cmd, &url, &ca, &cert, &key)
	cmd.Flags().StringVar(&device, "device", "+", "one device only")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// quiet is how long no retained message must have come for the list to be
// complete; retained messages are sent at once on subscription.
const quiet = time.Second

func listTrades(ctx context.Context, pipe mqtt.Pipe, url, device string) ([]view.TradeLine, error) {
	messages := make(chan mqtt.Message, 256)
	pipe.Subscribe(wire.Topics{Site: "+", Device: device}.Of(wire.ClassTrade), func(m mqtt.Message) {
		select {
		case messages <- m:
		case <-ctx.Done():
		}
	})
	if err := awaitBroker(ctx, pipe, url); err != nil {
		return nil, err
	}
	defer pipe.Close()
	byTopic := make(map[string][]view.TradeLine)
	for {
		timer := time.NewTimer(quiet)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		case <-timer.C:
			out := []view.TradeLine{}
			for _, lines := range byTopic {
				out = append(out, lines...)
			}
			sort.Slice(out, func(i, j int) bool {
				return strings.Join([]string{out[i].Device, out[i].ID}, "/") < strings.Join([]string{out[j].Device, out[j].ID}, "/")
			})
			return out, nil
		case m := <-messages:
			timer.Stop()
			lines, err := view.ParseTrades(m.Topic, m.Payload)
			if err != nil {
				return nil, err
			}
			byTopic[m.Topic] = lines
		}
	}
}

func printTrades(w io.Writer, trades []view.TradeLine) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "DEVICE\tSIDE\tID\tWITH\tPHASE\tVOLUME_WH\tDONE_WH")
	for _, l := range trades {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\t%d\n", l.Device, l.Side, l.ID, dash(l.With), l.Phase, l.VolumeWh, l.DoneWh)
	}
	return t.Flush()
}
