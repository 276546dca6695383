package agent

import (
	"encoding/hex"
	"fmt"

	"fairwatt/model"
	"fairwatt/model/nnet"
)

// A Network is the hazard network in this binary with its hash. A nil Network
// is none: the rules judge alone. It belongs to one judge.
type Network struct {
	*nnet.Network
	hash string
}

// LoadNetwork returns the network of a configuration: "shipped", or nil for
// "none". Weights that do not pass their own checks are an error; an agent
// goes on with the rules alone then, and says so.
func LoadNetwork(name string) (*Network, error) {
	if name == "none" {
		return nil, nil
	}
	loaded, err := nnet.Shipped()
	if err != nil {
		return nil, fmt.Errorf("load hazard network: %w", err)
	}
	sum := loaded.Sum()
	return &Network{loaded, hex.EncodeToString(sum[:])}, nil
}

// Hash is the SHA-256 of the weights file in hexadecimal; empty without one.
func (n *Network) Hash() string {
	if n == nil {
		return ""
	}
	return n.hash
}

// Close gives the network's graphs up.
func (n *Network) Close() error {
	if n == nil {
		return nil
	}
	return n.Network.Close()
}

// NewJudge makes the judge of a configuration. The network warns from its own
// thresholds for the kinds that the configuration says nothing of.
func NewJudge(cfg model.Config, n *Network) (*model.Judge, error) {
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
