package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// This file is the same, byte for byte, in the four programs: scripts find the
// same keys in each. A test of firmware-sim compares the copies.

// A build is what the toolchain knows of this binary, and the hazard network in
// it if there is one.
type build struct {
	Version  string    `json:"version"`  // "devel" if it was not built from a version
	Revision string    `json:"revision"` // "unknown" if it was not built from a repository
	Time     time.Time `json:"time"`     // of the revision; zero if unknown
	Dirty    bool      `json:"dirty"`    // built from more than the revision
	Modified bool      `json:"modified"` // Dirty, for scripts that know it by this name
	Go       string    `json:"go"`
	Platform string    `json:"platform"`

	Network string   `json:"network_sha256,omitempty"`
	Weights string   `json:"weights,omitempty"` // name and version of the network's weights
	Heads   []string `json:"heads,omitempty"`
	Engine  string   `json:"engine,omitempty"` // what computes the network's scores
}

// version is the tag that the Makefile built from, -X main.version=v1.2.3. The toolchain
// knows it too, but not in every kind of checkout.
var version string

func readBuild() build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	b := buildOf(info)
	if version != "" {
		b.Version = version
	}
	return b
}

func buildOf(info *debug.BuildInfo) build {
	b := build{Version: "devel", Revision: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		b.Version = v
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			b.Dirty = s.Value == "true"
			b.Modified = b.Dirty
		case "vcs.time":
			if t, err := time.Parse(time.RFC3339, s.Value); err == nil {
				b.Time = t
			}
		}
	}
	return b
}

// text is the build for people, a line for each thing that it knows.
func (b build) text(program string) string {
	dirty := ""
	if b.Dirty {
		dirty = ", modified"
	}
	var s strings.Builder
	fmt.Fprintf(&s, "%s %s (revision %s%s, %s, %s)\n", program, b.Version, b.Revision, dirty, b.Go, b.Platform)
	if b.Network != "" {
		fmt.Fprintf(&s, "network %s\n", b.Network)
	}
	if b.Weights != "" {
		fmt.Fprintf(&s, "weights %s, heads %s\n", b.Weights, strings.Join(b.Heads, " "))
	}
	if b.Engine != "" {
		fmt.Fprintf(&s, "engine %s\n", b.Engine)
	}
	return s.String()
}

// versionCommand prints the build. The program's complete adds what it knows of
// its network; it may be nil.
func versionCommand(complete func(*build) error) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print what this binary was built from",
		Long:  "Prints the version, the revision it was built from, Go's version, the platform, and the hazard network if one is built in.",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b := readBuild()
			if complete != nil {
				if err := complete(&b); err != nil {
					return err
				}
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(b)
			}
			_, err := fmt.Fprint(cmd.OutOrStdout(), b.text(cmd.Root().Name()))
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
