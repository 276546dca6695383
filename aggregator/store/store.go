// Package store keeps blocks, certificates and state in bbolt.
package store

import (
	"errors"

	"fairwatt/aggregator/ledger"
	"fairwatt/proto/fairwattpb"
)

// ErrFork is returned by Append when another certified block stands at the height.
var ErrFork = errors.New("store: a different certified block stands at this height")

type Store struct{}

func Open(path string, chainID [32]byte) (*Store, error) { return nil, errors.New("not yet") }
func (s *Store) Append(cb *fairwattpb.CertifiedBlock, height uint64, changes []ledger.Change) error {
	return errors.New("not yet")
}
func (s *Store) Height() uint64 { return 0 }
func (s *Store) Block(h uint64) (*fairwattpb.CertifiedBlock, error) {
	return nil, errors.New("not yet")
}

func (s *Store) Blocks(from, to uint64, fn func(height uint64, cb *fairwattpb.CertifiedBlock) error) error {
	return errors.New("not yet")
}

func (s *Store) LoadState(g *ledger.Genesis) (*ledger.State, error) {
	return nil, errors.New("not yet")
}
func (s *Store) Close() error { return nil }
