package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"fairwatt/aggregator/wct"
)

// wctCommand is `aggregator wct`: communication trees from the command line.
func wctCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "wct",
		Short: "Build and measure communication trees",
		Long: `Build and measure communication trees.

The weighted communication tree (WCT) decides which data aggregator makes the
blocks and who forwards them to whom.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(wctBuildCommand(), wctExperimentCommand(), wctDrawCommand())
	return cmd
}

func wctBuildCommand() *cobra.Command {
	var in string
	algorithm := algorithmFlag(wct.WCT)
	cmd := &cobra.Command{
		Use:   "build [--in FILE|-] [--algorithm wct|lft|tft|oct]",
		Short: "Build a tree and print it with its metrics",
		Long: `Build a tree and print it with its metrics, as JSON.

The input is a JSON object, or many of them one a line; each gives one line:

  {"n":N,"t_e4":[..],"l":[..],"w_us":[[..]],"wt":1,"wl":1,"t_thre_e4":8000,"w_thre_us":8000}

t_e4 is the trust in 1e-4, l the number of children a node can serve at once,
w_us[i][j] the microseconds that sending from i to j takes. In place of w_us,
"w_sparse_us":[[i,j,us],..] lists single edges; an edge it leaves out counts as
one microsecond over w_thre_us. name, note and expected are allowed and not
looked at; any other field is an error.

Algorithms: wct (the paper's), lft (most links first), tft (most trust first);
oct (ours: no worse than wct in any metric, and faster).`,
		Example: `  aggregator wct build --in case.json
  cat cases.jsonl | aggregator wct build --algorithm tft`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r := cmd.InOrStdin()
			if in != "-" {
				f, err := os.Open(in)
				if err != nil {
					return fmt.Errorf("open tree input: %w", err)
				}
				defer f.Close() // read only: nothing to lose
				r = f
			}
			return buildTrees(r, cmd.OutOrStdout(), wct.Algorithm(algorithm))
		},
	}
	cmd.Flags().StringVar(&in, "in", "-", "file with the cases, - for standard input")
	cmd.Flags().Var(&algorithm, "algorithm", "wct, lft, tft or oct")
	return cmd
}

// An algorithmFlag is an algorithm's name; a wrong one is wrong usage, told
// before anything is read.
type algorithmFlag wct.Algorithm

func (a *algorithmFlag) String() string { return string(*a) }
func (a *algorithmFlag) Type() string   { return "name" }
func (a *algorithmFlag) Set(name string) error {
	switch v := wct.Algorithm(name); v {
	case wct.WCT, wct.LFT, wct.TFT, wct.OCT:
		*a = algorithmFlag(v)
		return nil
	}
	return errors.New("want wct, lft, tft or oct")
}

// buildTrees answers every JSON object of r with one line. It stops at the
// first bad one, after the answers before it have been written.
func buildTrees(r io.Reader, w io.Writer, algorithm wct.Algorithm) error {
	out := bufio.NewWriter(w)
	limited := &caseReader{r: bufio.NewReaderSize(r, 1<<16)}
	d := json.NewDecoder(limited)
	for k := 1; ; k++ {
		limited.left = wct.MaxInputBytes
		var one json.RawMessage
		err := d.Decode(&one)
		if errors.Is(err, io.EOF) && k > 1 {
			return out.Flush()
		}
		if errors.Is(err, io.EOF) {
			err = errors.New("no input")
		}
		if err == nil {
			err = buildOne(one, out, algorithm)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("case %d: %w", k, err), out.Flush())
		}
	}
}

func buildOne(one []byte, w io.Writer, algorithm wct.Algorithm) error {
	in, err := wct.ParseInput(one)
	if err != nil {
		return err
	}
	tree, err := wct.Build(in, algorithm)
	if err != nil {
		return err
	}
	return json.NewEncoder(w).Encode(wct.Answer{Tree: tree, Metrics: wct.Measure(in, tree)})
}

// A caseReader refuses a case that is too long before it fills the memory.
type caseReader struct {
	r    io.Reader
	left int
}

func (c *caseReader) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, fmt.Errorf("longer than %d bytes", wct.MaxInputBytes)
	}
	n, err := c.r.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}
