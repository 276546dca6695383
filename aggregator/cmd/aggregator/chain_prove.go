package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"fairwatt/aggregator/ledger"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
)

// leastIDDigits is how much of a record's id must be given at least: what chain show
// prints.
const leastIDDigits = 16

func chainProveCommand() *cobra.Command {
	var record string
	var source chainSource
	cmd := &cobra.Command{
		Use:   "prove --record ID (--export FILE|- | --data DIR)",
		Short: "Prove to others that a record stands in the chain",
		Long: `Write the proof that a record stands in the chain, and what the ledger said of
it, to standard output: one JSON object with the block's header, the votes of a
quorum, the record, its outcome, and their paths to the header's roots.

Whoever has the genesis can check it without the chain: chain verify --proof. The
whole chain is executed up to the record to make it. ID is the record's id in hex,
or its first 16 digits as chain show prints them.`,
		Example: `  aggregator chain prove --record 4be1c2a09d31f7e8 --data community/da-1/data > proof.json
  aggregator chain prove --record 4be1c2a09d31f7e8 --export chain.jsonl | aggregator chain verify --genesis genesis.json --proof -`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if present(source.export, source.data) != 1 {
				return usagef("give one of --export and --data")
			}
			id := strings.ToLower(record)
			if _, err := hex.DecodeString(id + strings.Repeat("0", len(id)%2)); err != nil || len(id) < leastIDDigits || len(id) > 2*len([32]byte{}) {
				return usagef("--record %.70q: want %d to 64 hex digits", record, leastIDDigits)
			}
			return source.with(cmd.InOrStdin(), func(g *ledger.Genesis, next chainReader) error {
				proof, err := proveRecord(g, next, id)
				if err != nil {
					return err
				}
				_, err = cmd.OutOrStdout().Write(append(proof, '\n'))
				return err
			})
		},
	}
	cmd.Flags().StringVar(&record, "record", "", "id of the record, in hex")
	cmd.Flags().StringVar(&source.export, "export", "", "export to take the record from; - is standard input")
	cmd.Flags().StringVar(&source.data, "data", "", "data directory to take the record from")
	source.addArchives(cmd)
	return cmd
}

// proveRecord executes the chain up to the first record whose id begins with prefix.
func proveRecord(g *ledger.Genesis, next chainReader, prefix string) (proof []byte, err error) {
	var turns []*fairwattpb.Turn
	state, err := execute(g, next, func(_ *ledger.State, st *ledger.Staged, cb *fairwattpb.CertifiedBlock) (more bool, err error) {
		_, _, records, err := ledger.DecodeBlock(cb.GetBlock())
		if err != nil {
			return false, err
		}
		for _, sealed := range records {
			if id := seal.ID(sealed); strings.HasPrefix(hex.EncodeToString(id[:]), prefix) {
				proof, err = ledger.Prove(st, cb.GetCertificate(), id, turns...)
				return false, err
			}
		}
		if to, turned := st.Turn(); turned {
			turn, err := ledger.TurnOf(cb, to)
			if err != nil {
				return false, err
			}
			turns = append(turns, turn)
		}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	if proof == nil {
		return nil, fmt.Errorf("--record %s: no such record up to height %d", prefix, state.Height())
	}
	return proof, nil
}

// verifyProof checks a proof and prints what it shows.
func (f *verifyFlags) verifyProof(in io.Reader, out io.Writer) error {
	if f.genesis == "" {
		return usagef("--proof needs --genesis: a proof does not vouch for its own beginning")
	}
	g, err := readGenesis(f.genesis)
	if err != nil {
		return err
	}
	if f.proof != "-" {
		file, err := os.Open(filepath.Clean(f.proof))
		if err != nil {
			return fmt.Errorf("open proof: %w", err)
		}
		defer file.Close() // only read from
		in = file
	}
	raw, err := io.ReadAll(io.LimitReader(in, ledger.MaxProofBytes+1))
	if err != nil {
		return fmt.Errorf("read proof: %w", err)
	}
	p, err := ledger.VerifyProof(g, raw)
	if err != nil {
		return fmt.Errorf("not proven: %w", err)
	}
	if f.height > p.Header.GetHeight() {
		return fmt.Errorf("not proven: the record stands at height %d, --height wants %d at least", p.Header.GetHeight(), f.height)
	}
	return printProven(out, p, f.json)
}

// A provenView is what chain verify --proof --json prints.
type provenView struct {
	Proven  bool     `json:"proven"`
	Record  string   `json:"record"`
	Sender  string   `json:"sender"`
	Counter uint64   `json:"counter"`
	Applied bool     `json:"applied"`
	Code    string   `json:"code,omitempty"`
	Reason  string   `json:"reason,omitempty"`
	Height  uint64   `json:"height"`
	TimeMs  int64    `json:"time_ms"`
	Block   string   `json:"block"`
	Votes   []string `json:"votes"`
}

func printProven(out io.Writer, p *ledger.Proven, asJSON bool) error {
	v := provenView{
		Proven: true, Record: hex.EncodeToString(p.RecordID[:]), Sender: p.Record.GetSender(), Counter: p.Record.GetCounter(),
		Applied: p.Outcome.GetApplied(), Code: p.Outcome.GetCode(), Reason: p.Outcome.GetReason(),
		Height: p.Header.GetHeight(), TimeMs: p.Header.GetTimeMs(), Block: hex.EncodeToString(p.HeaderHash[:]), Votes: p.Voters,
	}
	if asJSON {
		return json.NewEncoder(out).Encode(v)
	}
	said := "applied"
	if !v.Applied {
		said = fmt.Sprintf("refused by the rules: %s: %s", v.Code, v.Reason)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "proven\tyes\nrecord\t%s\nof\t%s, counter %d\noutcome\t%s\nheight\t%d\ntime\t%s\nblock\t%s\nvotes\t%s\n",
		v.Record, v.Sender, v.Counter, said, v.Height, localTime(v.TimeMs), v.Block, strings.Join(v.Votes, ", "))
	return w.Flush()
}
