package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"fairwatt/aggregator/mc"
	"fairwatt/proto/certfile"
)

func mcRenewCommand() *cobra.Command {
	var dir string
	var all, asJSON bool
	var days int
	cmd := &cobra.Command{
		Use:   "renew --dir DIR [--all | PATH...]",
		Short: "Renew certificates that end soon",
		Long: `Renews certificates that end within so many days (--within-days, 60): those of
data aggregators, the centre, the broker, agents and owners. Each PATH is a
certificate, or a folder with certificates in it; with --all it is the community's
folder itself.

A certificate is signed again for the same key, name, role and hosts, and takes the
old one's place in one step; the key beside it stays as it is, and may be elsewhere.
Programs of fairwatt use it from the next handshake on, without a restart, and no
connection is dropped. Carry what was renewed to its machine in the same way: copy
it beside the old one and rename it. Mosquitto reads its own again at SIGHUP.

It needs ca.key, and may run by a timer on the machine that holds it
(fairwatt-renew.timer). The dates of new ones are spread over two months.`,
		Example: `  aggregator mc renew --dir community --all
  aggregator mc renew --dir community /media/pv-1/tls.crt`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if dir == "" || all == (len(args) > 0) {
				return usagef("--dir is required, and either --all or paths of certificates")
			}
			if days < 0 || days > 365 {
				return usagef("--within-days: %d is not within 0 and 365", days)
			}
			if all {
				args = []string{dir}
			}
			now := time.Now()
			done, err := renew(dir, args, time.Duration(days)*24*time.Hour, now)
			return errors.Join(printRenewals(cmd.OutOrStdout(), done, now, asJSON), err)
		},
	}
	f := cmd.Flags()
	f.StringVar(&dir, "dir", "", "the community's folder, with ca.key")
	f.BoolVar(&all, "all", false, "renew what is in the community's folder")
	f.IntVar(&days, "within-days", 60, "renew what ends within so many days; 365 renews all")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// renew renews the certificates of paths. One that cannot be renewed does not keep the
// others from it.
func renew(dir string, paths []string, within time.Duration, now time.Time) (done []mc.Renewal, err error) {
	authority, err := mc.OpenAuthority(dir)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, path := range paths {
		files, err := certificatesAt(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, file := range files {
			r, err := authority.Renew(file, within, now)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			done = append(done, r)
		}
	}
	return done, errors.Join(errs...)
}

// certificatesAt is a path's own certificate, or those in a folder.
func certificatesAt(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("renew: %w", err)
	}
	if !info.IsDir() {
		return []string{filepath.Clean(path)}, nil
	}
	files, err := mc.Holders(path)
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("renew: %s holds no certificate (*.crt)", path)
	}
	return files, err
}

func printRenewals(w io.Writer, done []mc.Renewal, now time.Time, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(done)
	}
	if len(done) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tROLE\tENDS\tDAYS LEFT\tRENEWED\tFILE")
	for _, r := range done {
		renewed := "not yet"
		if r.Renewed {
			renewed = "yes"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%s\n", r.ID, r.Role, r.Ends.UTC().Format(time.DateOnly), certfile.DaysLeft(r.Ends, now), renewed, r.File)
	}
	return t.Flush()
}
