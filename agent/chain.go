package agent

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"sync/atomic"

	"fairwatt/proto/seal"
)

// A Chain is what an agent needs to know of the chain it reports to.
type Chain struct {
	ID     [32]byte
	DAs    map[string]ed25519.PublicKey // the data aggregators' keys, by id, as the genesis has them
	Params ChainParams

	now atomic.Pointer[map[string]ed25519.PublicKey] // behind a change of members
}

// keys are those of the data aggregators of now, by id.
func (c *Chain) keys() map[string]ed25519.PublicKey {
	if now := c.now.Load(); now != nil {
		return *now
	}
	return c.DAs
}

// turn makes others the data aggregators; the map must not be changed afterwards.
func (c *Chain) turn(das map[string]ed25519.PublicKey) { c.now.Store(&das) }

// ChainParams are the genesis parameters that bind an agent. Times are in
// milliseconds of the wall clock.
type ChainParams struct {
	// Answers is "ledger" where the ledger answers requests; else the centre does.
	Answers          string `json:"answers"`
	LossE4           int64  `json:"loss_e4"`            // of energy between the two meters
	RegisterStepWh   int64  `json:"register_step_wh"`   // resolution of a register
	StartByMs        int64  `json:"start_by_ms"`        // after the payment
	DeliverByMs      int64  `json:"deliver_by_ms"`      // after the start
	ResumeByMs       int64  `json:"resume_by_ms"`       // after a hold
	ConfirmByMs      int64  `json:"confirm_by_ms"`      // after the bill
	AttestationMaxMs int64  `json:"attestation_max_ms"` // longest validity of an attestation
	MinLotWh         int64  `json:"min_lot_wh"`         // smallest order
	// Mechanism is "auction" or "sharing" where energy is sold by slots; the times are 0
	// elsewhere.
	Mechanism      string `json:"mechanism"`
	SlotMs         int64  `json:"slot_ms"`
	GateClosureMs  int64  `json:"gate_closure_ms"`  // before a slot's begin
	SlotReadingsMs int64  `json:"slot_readings_ms"` // after its end
}

// The genesis' names for an auction of slots, and for slots that are shared by a key.
const mechanismAuction, mechanismSharing = "auction", "sharing"

// auction says whether energy is sold by slots. Times of which nothing can be made are no
// auction's.
func (p *ChainParams) auction() bool {
	return (p.Mechanism == mechanismAuction || p.Mechanism == mechanismSharing) && p.SlotMs > 0 && p.GateClosureMs > 0 && p.SlotReadingsMs > 0
}

// maxGenesisBytes bounds the genesis file.
const maxGenesisBytes = 8 << 20

// LoadChain reads the genesis file that `aggregator mc init` wrote.
func LoadChain(path string) (*Chain, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read genesis: %w", err)
	}
	c, err := ParseChain(b)
	if err != nil {
		return nil, fmt.Errorf("genesis %s: %w", path, err)
	}
	return c, nil
}

// ParseChain takes the parts of a genesis an agent uses. The chain's id is
// the SHA-256 of the bytes as they are, but for white space at the end; that
// they are canonical is for those to check who build blocks on them.
func ParseChain(genesis []byte) (*Chain, error) {
	if len(genesis) > maxGenesisBytes {
		return nil, fmt.Errorf("%d bytes is over %d", len(genesis), maxGenesisBytes)
	}
	genesis = bytes.TrimRight(genesis, " \t\r\n")
	var g struct {
		Version     int         `json:"version"`
		Params      ChainParams `json:"params"`
		Aggregators []struct {
			ID        string `json:"id"`
			PublicKey string `json:"public_key"`
		} `json:"aggregators"`
	}
	if err := json.Unmarshal(genesis, &g); err != nil {
		return nil, err
	}
	if g.Version != 1 {
		return nil, fmt.Errorf("version: %d, this agent reads 1", g.Version)
	}
	c := &Chain{ID: sha256.Sum256(genesis), DAs: make(map[string]ed25519.PublicKey), Params: g.Params}
	for _, da := range g.Aggregators {
		key, err := seal.ParseKey(da.PublicKey)
		if err != nil {
			return nil, fmt.Errorf("aggregators: %s: public_key: %w", da.ID, err)
		}
		c.DAs[da.ID] = key
	}
	if len(c.DAs) == 0 {
		return nil, fmt.Errorf("aggregators: none")
	}
	return c, nil
}
