package main

import (
	"crypto/sha256"
	"fmt"

	"github.com/spf13/cobra"

	"fairwatt/model/nnet"
)

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "model",
		Short: "Train and evaluate the hazard network",
		Long: `model trains the hazard network on recorded weather, compares it with plain
baselines, draws replays, and says which weights are built in. docs/model.md is
the model card.`,
		Args: noArgs,
		RunE: helpOnly,
	}
	root.AddCommand(trainCommand(), evaluateCommand(), plotCommand(), versionCommand(withNetwork))
	return root
}

// withNetwork adds what is known of the hazard network in this binary.
func withNetwork(b *build) error {
	weights, err := nnet.ShippedWeights()
	if err != nil {
		return fmt.Errorf("built-in weights: %w", err)
	}
	file, err := weights.Marshal()
	if err != nil {
		return fmt.Errorf("hash the built-in weights: %w", err)
	}
	b.Network = fmt.Sprintf("%x", sha256.Sum256(file))
	b.Engine = nnet.Engine
	b.Weights = fmt.Sprintf("%s v%d", weights.Name, weights.Version)
	for _, h := range weights.Heads {
		b.Heads = append(b.Heads, h.Name)
	}
	return nil
}
