package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"fairwatt/aggregator"
	"fairwatt/aggregator/console"
	"fairwatt/aggregator/mc"
	"fairwatt/aggregator/peer"
	"fairwatt/proto/mqtt"
)

func daCommand() *cobra.Command {
	var config string
	cmd := &cobra.Command{
		Use:   "da --config FILE",
		Short: "Run a data aggregator",
		Long: `Run a data aggregator until it is interrupted.

It takes records from its MQTT brokers, agrees with the other aggregators on
blocks, stores them in its data folder and answers senders with receipts. Where
http is set it shows a page, an API and metrics. It may be stopped and started
at any moment.`,
		Example: "  aggregator da --config community/da-1/da.yaml",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c := newDAConfig()
			if err := readConfig(config, &c); err != nil {
				return err
			}
			return runDA(cmd.Context(), cmd, c, func() (string, error) {
				next := newDAConfig()
				err := readConfig(config, &next)
				return next.LogLevel, err
			})
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "configuration file (YAML)")
	cmd.AddCommand(healthCommand(), resumeCommand(), daJoinCommand(), daRekeyCommand())
	return cmd
}

// runDA runs a data aggregator. level reads the log level of its file again.
func runDA(ctx context.Context, cmd *cobra.Command, c daConfig, level func() (string, error)) error {
	log, err := logger(cmd, c.LogLevel)
	if err != nil {
		return err
	}
	defer log.reloadOnHangup(ctx, level)()
	unit, err := newService(os.Getenv, log.Logger)
	if err != nil {
		return err
	}
	defer unit.watchStop(ctx)()
	var liars []string
	for {
		err := runOnce(ctx, c, log.Logger, unit, liars)
		if !errors.Is(err, aggregator.ErrLeap) {
			return err
		}
		liars = aggregator.Liars(err) // it begins anew, with a snapshot
	}
}

// runOnce runs it until it is to begin anew, or ends.
func runOnce(ctx context.Context, c daConfig, log *slog.Logger, unit *service, liars []string) error {
	deps, err := daDeps(c, log)
	if err != nil {
		return err
	}
	deps.Logger, deps.Alive, deps.Liars = log, unit.alive, liars
	var page net.Listener
	if c.HTTP != "" {
		if page, err = console.Listen(c.HTTP, c.HTTPRemote); err != nil {
			return err
		}
		defer page.Close() // the console closes it; this is for an early return
	}
	da, err := aggregator.New(aggregator.Config{ID: c.ID, Dir: c.Data, Software: readBuild().Version, RecordsPerS: c.RecordsPerS, NowcastKM: c.NowcastKM,
		FromBlocks: c.StartWith == startBlocks, SnapshotEvery: time.Duration(c.SnapshotEveryS) * time.Second}, deps)
	if err != nil {
		return err
	}
	log.Info("data aggregator", "da", c.ID, "height", da.State().Height(), "listen", c.Listen, "brokers", c.MQTT)
	g, ctx := errgroup.WithContext(ctx)
	ctx, over := context.WithCancel(ctx)
	defer over()
	g.Go(func() error {
		defer over() // it ends by itself when it has retired
		return da.Run(ctx)
	})
	if page != nil {
		log.Info("page", "url", "http://"+page.Addr().String()+"/")
		g.Go(func() error { return console.New(da, console.Options{Hosts: c.HTTPHosts}).Serve(ctx, page) })
	}
	return g.Wait()
}

// daDeps reads the keys and prepares the connections; nothing is dialled yet.
func daDeps(c daConfig, log *slog.Logger) (aggregator.Deps, error) {
	var deps aggregator.Deps
	var err error
	if deps.Genesis, err = mc.ReadGenesis(c.Genesis); err != nil {
		return deps, err
	}
	if deps.Key, err = mc.ReadKey(c.SealKey); err != nil {
		return deps, err
	}
	if c.NextSealKey != "" {
		next, err := mc.ReadKey(c.NextSealKey)
		if err != nil {
			return deps, err
		}
		deps.MoreKeys = append(deps.MoreKeys, next)
	}
	pair, pool, err := c.TLS.read(log)
	if err != nil {
		return deps, err
	}
	peers := make(map[string]string)
	for _, da := range deps.Genesis.DAs() {
		if da.ID != c.ID {
			peers[da.ID] = da.Address
		}
	}
	if len(peers) == len(deps.Genesis.Aggregators) {
		if !c.Join {
			return deps, fmt.Errorf("the genesis names no data aggregator %q: correct id, or say join: true for one that comes to a running chain (aggregator da join)", c.ID)
		}
		log.Info("the genesis does not name this data aggregator: it takes part once a centre has admitted it", "da", c.ID)
	}
	var observers []string
	for _, centre := range deps.Genesis.Centres {
		observers = append(observers, centre.ID)
	}
	if deps.Link, err = peer.NewGRPC(peer.Config{Self: c.ID, ListenAddr: c.Listen, Peers: peers, TLS: peerTLS(pair, pool),
		Observers: observers}); err != nil {
		return deps, err
	}
	password := ""
	if c.MQTTPasswordFile != "" {
		b, err := os.ReadFile(c.MQTTPasswordFile)
		if err != nil {
			return deps, fmt.Errorf("read MQTT password: %w", err)
		}
		password = strings.TrimRight(string(b), "\r\n")
	}
	deps.CertificateEnds = pair.Ends
	if _, deps.AuthorityEnds, err = mc.AuthoritiesAndEnd(c.TLS.CA); err != nil {
		return deps, err
	}
	brokerTLS := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
	pair.Use(brokerTLS)
	for _, url := range c.MQTT {
		p, err := mqtt.New(aggregator.MQTTOf(c.ID, mqtt.Config{URL: url, Logger: log, Username: c.MQTTUsername, Password: password,
			TLS: brokerTLS}))
		if err != nil {
			return deps, err
		}
		deps.Pipes = append(deps.Pipes, p)
		deps.BrokerNames = append(deps.BrokerNames, mqtt.Redacted(url))
	}
	return deps, nil
}
