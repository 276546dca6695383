package main

import (
	"encoding/json"
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Say which program and which weights these are",
		Long:    `Version prints the program's revision and the built-in weights with their heads.`,
		Example: `  model version --json`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w, err := loadWeights("")
			if err != nil {
				return err
			}
			v := struct {
				Version  string   `json:"version"`
				Revision string   `json:"revision"`
				Go       string   `json:"go"`
				Weights  string   `json:"weights"`
				Heads    []string `json:"heads"`
			}{Version: "unknown", Revision: "unknown", Weights: fmt.Sprintf("%s v%d", w.Name, w.Version)}
			if info, ok := debug.ReadBuildInfo(); ok {
				v.Version, v.Go = info.Main.Version, info.GoVersion
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" {
						v.Revision = s.Value
					}
				}
			}
			for _, h := range w.Heads {
				v.Heads = append(v.Heads, h.Name)
			}
			out := cmd.OutOrStdout()
			if asJSON {
				return json.NewEncoder(out).Encode(v)
			}
			_, err = fmt.Fprintf(out, "model %s (%s, %s), weights %s\n", v.Version, v.Revision, v.Go, v.Weights)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
