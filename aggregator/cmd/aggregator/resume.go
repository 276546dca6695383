package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"fairwatt/aggregator"
)

func resumeCommand() *cobra.Command {
	var config string
	var height, round uint64
	var accept bool
	cmd := &cobra.Command{
		Use:   "resume --config FILE --height N --i-accept [STATEMENT...]",
		Short: "Let data aggregators vote again of which too many lost their logs",
		Long: `Let data aggregators vote again of which too many lost their logs.

A data aggregator whose agreement log is lost does not vote until the epoch
ends, and the others end it. Where more logs are lost at once than aggregators
may fail, no quorum is left that could: every page says "does not vote", and no
block comes. Then the operators have to speak, all of them if they can:

  1. Leave all data aggregators running until their heights differ no more: they
     fetch from each other what one of them alone has. Note the greatest height.
  2. Stop them all.
  3. Each operator runs this command with that height. It prints a statement,
     signed by the aggregator, and keeps it in the data folder.
  4. Each hands the statement to the others, and runs the command again with
     theirs as files. When a quorum of them is there, start the aggregator.

A statement is a promise: the aggregator votes in this epoch no more, except
above that block, once it has the statements of a quorum. The command refuses a
height below the aggregator's own newest block.

What is given up: a block that was decided above that height, and that only
aggregators hold which are not asked. Money that moved there has not moved. No
sender has believed such a block final unless more aggregators than may fail
are not asked, or lie. An aggregator that comes back with it stops and says so:
delete its data folder. When no one is left out, and no data folder is lost,
nothing is given up.`,
		Example: `  aggregator da resume --config community/da-1/da.yaml --height 4711 --i-accept > da-1.txt
  aggregator da resume --config community/da-1/da.yaml --height 4711 --i-accept da-2.txt da-3.txt`,
		RunE: func(cmd *cobra.Command, files []string) error {
			c := newDAConfig()
			if err := readConfig(config, &c); err != nil {
				return err
			}
			switch {
			case !cmd.Flags().Changed("height"):
				return usagef("--height N is required: the greatest of any data aggregator")
			case !accept:
				return usagef("--i-accept is required: read in --help what may be given up")
			}
			return resume(cmd, c, height, round, files)
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "configuration file (YAML)")
	cmd.Flags().Uint64Var(&height, "height", 0, "the greatest height of any data aggregator")
	cmd.Flags().Uint64Var(&round, "round", 1, "one more each time this is done in the same epoch")
	cmd.Flags().BoolVar(&accept, "i-accept", false, "what is given up is accepted")
	return cmd
}

func resume(cmd *cobra.Command, c daConfig, height, round uint64, files []string) error {
	var others [][]byte
	for _, name := range files {
		text, err := readStatement(name)
		if err != nil {
			return err
		}
		others = append(others, text)
	}
	deps, err := daDeps(c, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	deps.Logger = slog.New(slog.DiscardHandler)
	da, err := aggregator.New(aggregator.Config{ID: c.ID, Dir: c.Data}, deps)
	if err != nil {
		return err
	}
	said, err := da.Resume(height, round, others...)
	if closeErr := da.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	next := "give this data aggregator's statement to the other operators, and run this again with theirs"
	if len(said.Signers) >= said.Need {
		next = "start the data aggregator"
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "statements of %s, %d needed: %s\n", strings.Join(said.Signers, ", "), said.Need, next)
	_, err = cmd.OutOrStdout().Write(said.Text)
	return err
}

// readStatement reads a file that another operator gave.
func readStatement(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read statement: %w", err)
	}
	defer f.Close() // read only: nothing to lose
	const most = 64 << 10
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, fmt.Errorf("read statement: %w", err)
	}
	if len(text) > most {
		return nil, fmt.Errorf("read statement %s: more than %d bytes: want what da resume printed", name, most)
	}
	return text, nil
}
