package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"fairwatt/aggregator/mc"
)

// centreFlags are those of a command that puts one record on the chain.
type centreFlags struct {
	config string
	wait   time.Duration
}

func (f *centreFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.config, "config", "", "configuration file (YAML)")
	cmd.Flags().DurationVar(&f.wait, "wait", 30*time.Second, "how long to wait for the chain")
}

// run does one thing with a centre that follows the chain meanwhile.
func (f *centreFlags) run(cmd *cobra.Command, do func(context.Context, *mc.Centre) error) error {
	var c mcConfig
	if err := readConfig(f.config, &c); err != nil {
		return err
	}
	if c.LogLevel == "" {
		c.LogLevel = "error" // the result says what matters
	}
	log, err := logger(cmd, c.LogLevel)
	if err != nil {
		return err
	}
	centre, closeAll, err := openCentre(c, log.Logger, nil)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), f.wait)
	defer cancel()
	g, running := errgroup.WithContext(ctx)
	running, stop := context.WithCancel(running)
	g.Go(func() error { return centre.Record(running) })
	g.Go(func() error {
		defer stop()
		return do(running, centre)
	})
	return errors.Join(g.Wait(), closeAll())
}

// judgeFlags say which arbiter or auditor speaks, and by which centre's connection.
type judgeFlags struct {
	centreFlags
	id, key string
}

func (j *judgeFlags) add(cmd *cobra.Command, role string) {
	j.centreFlags.add(cmd)
	f := cmd.Flags()
	f.Lookup("config").Usage = "configuration file of a centre, whose connection is used (YAML)"
	f.StringVar(&j.id, role, "", "id of the "+role+", as the genesis names it")
	f.StringVar(&j.key, "key", "", "file with the "+role+"'s key (PEM)")
}
