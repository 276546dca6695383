package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/store"
	"fairwatt/proto/fairwattpb"
)

// exportLight writes the genesis, each change of the members, and the newest block's
// header with its certificate.
func exportLight(out io.Writer, g *ledger.Genesis, s *store.Store) error {
	state, err := s.LoadState(g)
	if err != nil {
		return err
	}
	genesis, err := g.Marshal()
	if err != nil {
		return err
	}
	lines := [][]byte{genesis}
	turns, err := state.TurnsBelow(state.Height()+1, s.Turn)
	if err != nil {
		return err
	}
	if state.Height() > 0 {
		cb, err := s.Block(state.Height())
		if err != nil {
			return err
		}
		newest, err := ledger.TurnOf(cb, state.Members())
		if err != nil {
			return err
		}
		newest.Members = nil
		turns = append(turns, newest)
	}
	for _, t := range turns {
		line, err := ledger.EncodeLightLine(t)
		if err != nil {
			return err
		}
		lines = append(lines, line)
	}
	w := bufio.NewWriter(out)
	for _, line := range lines {
		if _, err := w.Write(append(line, '\n')); err != nil {
			return fmt.Errorf("write export: %w", err)
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write export: %w", err)
	}
	return nil
}

// A lightVerdict is what following the members alone found out.
type lightVerdict struct {
	Chain   string   `json:"chain"`
	Height  uint64   `json:"height"` // of the newest block shown
	Epoch   uint64   `json:"epoch"`
	Hash    string   `json:"hash"`
	Changes int      `json:"changes"` // of the members
	Members []string `json:"members"` // who vote behind it
	Quorum  int      `json:"quorum"`
}

// verifyLight follows the members from the trusted genesis over a light export.
func (f *verifyFlags) verifyLight(in io.Reader) (v *lightVerdict, err error) {
	if f.genesis == "" {
		return nil, usagef("--light needs --genesis: a few certificates do not vouch for their own beginning")
	}
	if f.export == "" {
		return nil, usagef("--light reads a light export: give it with --export")
	}
	if f.export != "-" {
		file, err := os.Open(f.export)
		if err != nil {
			return nil, fmt.Errorf("open export: %w", err)
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		in = file
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 1<<16), maxExportLine)
	lines.Split(wholeLines)
	if !lines.Scan() {
		return nil, errors.Join(errors.New("export: no genesis line"), lines.Err())
	}
	g, err := ledger.ParseGenesis(lines.Bytes())
	if err == nil {
		err = f.trusts(g)
	}
	if err != nil {
		return nil, fmt.Errorf("line 1: %w", err)
	}
	set, err := g.FirstMembers()
	if err != nil {
		return nil, err
	}
	chain := g.ChainID()
	v = &lightVerdict{Chain: hex.EncodeToString(chain[:]), Epoch: 1}
	var newest, change *fairwattpb.Turn
	for number := 2; lines.Scan(); number++ {
		t, err := ledger.DecodeLightLine(lines.Bytes())
		if err == nil && newest != nil {
			err = errors.New("a line behind that of the newest block")
		}
		if err == nil && len(t.GetMembers()) == 0 {
			newest = t
			continue
		}
		if err == nil {
			set, err = set.Follow(t)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		v.Changes++
		change = t
		v.Height, v.Epoch = set.Height(), set.Epoch()
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read export: %w", err)
	}
	if newest != nil {
		if err := v.newest(set, newest, change); err != nil {
			return nil, fmt.Errorf("newest block: %w", err)
		}
	}
	if v.Height < f.height {
		return nil, fmt.Errorf("height %d: the export ends, it must reach %d", v.Height, f.height)
	}
	v.Members, v.Quorum = set.Names(), set.Quorum()
	return v, nil
}

// newest checks the newest block: these members have signed it, unless it is the one
// behind which they vote.
func (v *lightVerdict) newest(set certifier, t, change *fairwattpb.Turn) error {
	_, hash, err := ledger.DecodeHeader(t.GetHeader())
	if err != nil {
		return err
	}
	v.Hash = hex.EncodeToString(hash[:])
	if bytes.Equal(t.GetHeader(), change.GetHeader()) {
		return nil
	}
	h, err := set.Certify(t.GetHeader(), t.GetCertificate())
	if err != nil {
		return err
	}
	if h.GetHeight() < v.Height {
		return fmt.Errorf("height %d is below the newest change of the members, at %d", h.GetHeight(), v.Height)
	}
	v.Height, v.Epoch = h.GetHeight(), h.GetEpoch()
	return nil
}

type certifier interface {
	Certify(header, certificate []byte) (*fairwattpb.BlockHeader, error)
}

func (v *lightVerdict) print(out io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(v)
	}
	_, err := fmt.Fprintf(out, "certified  yes, by the members of each epoch; no record was looked at\nchain      %s\nheight     %d, epoch %d\nblock      %s\nmembers    %s; %d votes make a block final; %d changes since the genesis\n",
		v.Chain, v.Height, v.Epoch, v.Hash, strings.Join(v.Members, ", "), v.Quorum, v.Changes)
	return err
}
