package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"fairwatt/model"
	"fairwatt/model/nnet"
)

// A network is the hazard network with its hash.
type network struct {
	*nnet.Network
	hash string
}

func (n *network) close() error { return n.Network.Close() }

// loadNetwork returns the network of the configuration; nil for "none".
func loadNetwork(name string) (*network, error) {
	if name == "none" {
		return nil, nil
	}
	loaded, err := nnet.Shipped()
	if err != nil {
		return nil, fmt.Errorf("load hazard network: %w", err)
	}
	file, err := loaded.Weights().Marshal()
	if err != nil {
		return nil, fmt.Errorf("hash hazard network: %w", err)
	}
	sum := sha256.Sum256(file)
	return &network{loaded, hex.EncodeToString(sum[:])}, nil
}

// newJudge makes the judge of a configuration. The network warns from its own
// thresholds where the configuration names none for a kind; without a network
// (nil) the rules judge alone.
func newJudge(cfg model.Config, n *network) (*model.Judge, error) {
	if n == nil {
		return model.NewJudge(cfg, nil)
	}
	kinds := make(map[string]model.ScoreLimit)
	for k := range model.NumKinds {
		if p, ok := n.WarnThreshold(k); ok {
			kinds[k.String()] = model.ScoreLimit{Warn: p}
		}
	}
	for name, limit := range cfg.Score.Kinds {
		kinds[name] = limit
	}
	cfg.Score.Kinds = kinds
	return model.NewJudge(cfg, n)
}
