package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"fairwatt/aggregator/wct"
)

func wctDrawCommand() *cobra.Command {
	var in, out string
	algorithm := algorithmFlag(wct.WCT)
	cmd := &cobra.Command{
		Use:   "draw [--in FILE|-] [--algorithm wct|lft|tft|oct] [--out FILE.svg|-]",
		Short: "Draw a tree as SVG",
		Long: `Draw a tree as SVG.

The input is one case as "aggregator wct build" reads it. Every node shows its
trust, its links and, if trusted, its score; every edge its overhead. Edges over
the overhead threshold, untrusted nodes and nodes that no link was left for are
marked.`,
		Example: `  aggregator wct draw --in case.json --algorithm oct --out tree.svg`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			picture, err := drawTree(in, cmd.InOrStdin(), wct.Algorithm(algorithm))
			if err != nil {
				return err
			}
			if out == "-" {
				_, err := cmd.OutOrStdout().Write(picture)
				return err
			}
			return writeFile(out, func(w io.Writer) error {
				_, err := w.Write(picture)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&in, "in", "-", "file with the case, - for standard input")
	cmd.Flags().Var(&algorithm, "algorithm", "wct, lft, tft or oct")
	cmd.Flags().StringVar(&out, "out", "-", "file for the picture, - for standard output")
	return cmd
}

func drawTree(file string, stdin io.Reader, algorithm wct.Algorithm) ([]byte, error) {
	r := stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("open tree input: %w", err)
		}
		defer f.Close() // read only: nothing to lose
		r = f
	}
	one, err := io.ReadAll(io.LimitReader(r, wct.MaxInputBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read tree input: %w", err)
	}
	in, err := wct.ParseInput(one)
	if err != nil {
		return nil, err
	}
	tree, err := wct.Build(in, algorithm)
	if err != nil {
		return nil, err
	}
	return wct.SVG(in, tree, nil)
}
