package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"fairwatt/aggregator/mc"
)

func daJoinCommand() *cobra.Command {
	var dir, id, address, genesis, ca string
	var links int
	cmd := &cobra.Command{
		Use:   "join --dir DIR --id ID --address HOST:PORT --genesis FILE --ca FILE",
		Short: "Make the keys of a new data aggregator and its request to a centre",
		Long: `Make the keys of a data aggregator that is to join a running chain, with da.yaml
and request.json, in a new folder. Send request.json to a centre: mc admit puts it
on the chain and answers with tls.crt, which belongs into the folder. Then start
aggregator da: it fetches the chain, asks to join, and votes from the next epoch on.

Genesis and authority (ca.crt) are those of the community. The private keys stay in
the folder.`,
		Example: "  aggregator da join --dir da-5 --id da-5 --address da5.example.org:9000 --genesis genesis.json --ca ca.crt",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" || id == "" || address == "" || genesis == "" || ca == "" {
				return usagef("--dir, --id, --address, --genesis and --ca are required")
			}
			if _, err := mc.NewJoin(dir, id, address, links, genesis, ca); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "send %s to a centre, and put the tls.crt that it answers with next to it\n", filepath.Join(dir, mc.RequestFile))
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&dir, "dir", "", "new folder")
	f.StringVar(&id, "id", "", "its id: a-z, 0-9, -")
	f.StringVar(&address, "address", "", "where the others reach it")
	f.IntVar(&links, "links", 2, "to how many it forwards blocks at once, at most")
	f.StringVar(&genesis, "genesis", "", "the chain's genesis.json")
	f.StringVar(&ca, "ca", "", "the community's ca.crt")
	return cmd
}

func daRekeyCommand() *cobra.Command {
	var config string
	cmd := &cobra.Command{
		Use:   "rekey --config FILE",
		Short: "Make the next key of a data aggregator and its request to a centre",
		Long: `Make the next key that a data aggregator signs with, as next-seal.key beside its
seal_key, and rekey-request.json. Name the key in da.yaml (next_seal_key) and start
the data aggregator again; then send the request to a centre (mc rekey). When the
epoch ends the chain knows the new key, and the data aggregator signs with it without
a restart. Afterwards it may take the place of the old one.`,
		Example: "  aggregator da rekey --config community/da-1/da.yaml",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c := newDAConfig()
			if err := readConfig(config, &c); err != nil {
				return err
			}
			dir := filepath.Dir(c.SealKey)
			if _, err := mc.NewRekey(dir, c.ID, c.Genesis); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "name %s as next_seal_key in da.yaml, start the data aggregator again, and send %s to a centre\n",
				filepath.Join(dir, mc.NextSealKeyFile), filepath.Join(dir, "rekey-"+mc.RequestFile))
			return err
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "configuration file (YAML)")
	return cmd
}

// request reads a request for the chain of the centre's genesis.
func (f *centreFlags) request(path string) (*mc.Join, error) {
	var conf mcConfig
	if err := readConfig(f.config, &conf); err != nil {
		return nil, err
	}
	g, err := mc.ReadGenesis(conf.Genesis)
	if err != nil {
		return nil, err
	}
	return mc.ReadJoin(path, g)
}

func mcAdmitCommand() *cobra.Command {
	var c centreFlags
	var request, dir, out string
	var trust float64
	var overhead int
	cmd := &cobra.Command{
		Use:   "admit --config FILE --request FILE [--dir DIR --out FILE]",
		Short: "Let a data aggregator join the chain",
		Long: `Let a data aggregator join: put its request (da join) on the chain and, with the
folder of the authority (--dir), write its TLS certificate (--out) and its lines into
the broker's access list, which the broker has to read again. It is a candidate then. Once it runs and has the chain, it asks for the end of the epoch itself, and
is a member of the next. Where the chain has more centres, more than half of them
have to admit it.`,
		Example: "  aggregator mc admit --config community/mc-1/mc.yaml --request request.json --dir community --out tls.crt",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case request == "":
				return usagef("--request is required")
			case (dir == "") != (out == ""):
				return usagef("--dir and --out go together")
			case trust < 0 || trust > 1:
				return usagef("--trust %v: 0 to 1", trust)
			case overhead < 0 || overhead > 60_000_000:
				return usagef("--overhead-us %d: 0 to 60000000", overhead)
			}
			j, err := c.request(request)
			if err != nil {
				return err
			}
			if dir != "" {
				authority, err := mc.OpenAuthority(dir)
				if err == nil {
					err = authority.SignJoin(j, out, time.Now())
				}
				if err == nil {
					err = mc.AdmitAggregator(dir, j.ID)
				}
				if err != nil {
					return err
				}
			}
			return c.run(cmd, func(ctx context.Context, centre *mc.Centre) error {
				return centre.Admit(ctx, j, mc.Terms{TrustE4: int64(trust*10_000 + 0.5), OverheadUs: overhead})
			})
		},
	}
	c.add(cmd)
	f := cmd.Flags()
	f.StringVar(&request, "request", "", "its request.json")
	f.StringVar(&dir, "dir", "", "the community's folder, with ca.key")
	f.StringVar(&out, "out", "", "its certificate, to be written")
	f.Float64Var(&trust, "trust", 0.85, "its trust at first, 0 to 1")
	f.IntVar(&overhead, "overhead-us", 5000, "the overhead to each other one in microseconds, until it is measured")
	return cmd
}

func mcRekeyCommand() *cobra.Command {
	var c centreFlags
	var request string
	cmd := &cobra.Command{
		Use:     "rekey --config FILE --request FILE",
		Short:   "Give a data aggregator another key",
		Long:    "Give a data aggregator the key of its request (da rekey), from the next epoch on.",
		Example: "  aggregator mc rekey --config community/mc-1/mc.yaml --request rekey-request.json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if request == "" {
				return usagef("--request is required")
			}
			j, err := c.request(request)
			if err != nil {
				return err
			}
			return c.run(cmd, func(ctx context.Context, centre *mc.Centre) error { return centre.Rekey(ctx, j) })
		},
	}
	c.add(cmd)
	cmd.Flags().StringVar(&request, "request", "", "its rekey-request.json")
	return cmd
}

func mcRetireCommand() *cobra.Command {
	var c centreFlags
	var id string
	cmd := &cobra.Command{
		Use:   "retire --config FILE --id ID",
		Short: "Let a data aggregator leave the chain",
		Long: `Let a data aggregator leave when the epoch ends; it stops by itself then. At least
four remain. A candidate, or another centre, leaves at once.`,
		Example: "  aggregator mc retire --config community/mc-1/mc.yaml --id da-2",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if id == "" {
				return usagef("--id is required")
			}
			return c.run(cmd, func(ctx context.Context, centre *mc.Centre) error { return centre.Retire(ctx, id) })
		},
	}
	c.add(cmd)
	cmd.Flags().StringVar(&id, "id", "", "which")
	return cmd
}

func mcMoveCommand() *cobra.Command {
	var c centreFlags
	var id, address string
	cmd := &cobra.Command{
		Use:     "move --config FILE --id ID --address HOST:PORT",
		Short:   "Give a data aggregator another address",
		Long:    "Give a data aggregator another address, from the next epoch on.",
		Example: "  aggregator mc move --config community/mc-1/mc.yaml --id da-2 --address new.example.org:9000",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if id == "" || address == "" {
				return usagef("--id and --address are required")
			}
			return c.run(cmd, func(ctx context.Context, centre *mc.Centre) error { return centre.Move(ctx, id, address) })
		},
	}
	c.add(cmd)
	cmd.Flags().StringVar(&id, "id", "", "which")
	cmd.Flags().StringVar(&address, "address", "", "where the others reach it")
	return cmd
}
