package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cometbft/cometbft/abci/example/kvstore"
	"github.com/cometbft/cometbft/config"
	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/libs/log"
	"github.com/cometbft/cometbft/node"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/privval"
	"github.com/cometbft/cometbft/proxy"
	"github.com/cometbft/cometbft/types"
)

// validators is how many members each side has.
const validators = 4

// limit bounds each wait: for the validators to begin, and for the records.
const limit = 10 * time.Minute

// tuned makes CometBFT as fast on one machine as its settings allow: the next block
// begins at once, gossip does not sleep, links are not throttled, and what waits is
// not checked again after each block.
func tuned(c *config.Config) {
	c.Consensus.TimeoutCommit = 0
	c.Consensus.PeerGossipSleepDuration = 5 * time.Millisecond
	c.P2P.FlushThrottleTimeout = time.Millisecond
	c.P2P.SendRate, c.P2P.RecvRate = 1<<30, 1<<30
	c.P2P.MaxPacketMsgPayloadSize = 64 << 10
	c.Mempool.Recheck = false
}

// tunings are the settings that are measured.
var tunings = map[string]func(*config.Config){"tuned": tuned, "defaults": func(*config.Config) {}}

// A cluster is four validators in this process. They run until it ends: one that is
// stopped reads its database once more after it has closed it, and panics.
type cluster struct {
	nodes []*node.Node
	dir   string
}

// startCluster starts the validators, with their files in a folder, and waits until
// each has stored two blocks.
func startCluster(dir string, tune func(*config.Config)) (*cluster, error) {
	c := &cluster{dir: dir}
	addresses, err := freeAddresses(validators)
	if err != nil {
		return nil, err
	}
	genesis := &types.GenesisDoc{ChainID: "anchor", GenesisTime: time.Now().UTC(), InitialHeight: 1, ConsensusParams: types.DefaultConsensusParams()}
	keys := make([]*p2p.NodeKey, validators)
	votes := make([]ed25519.PrivKey, validators)
	others := make([]string, validators)
	for i := range validators {
		keys[i], votes[i] = &p2p.NodeKey{PrivKey: ed25519.GenPrivKey()}, ed25519.GenPrivKey()
		others[i] = p2p.IDAddressString(keys[i].ID(), addresses[i])
		genesis.Validators = append(genesis.Validators, types.GenesisValidator{PubKey: votes[i].PubKey(), Power: 1, Name: fmt.Sprint("node-", i)})
	}
	if err := genesis.ValidateAndComplete(); err != nil {
		return nil, fmt.Errorf("genesis: %w", err)
	}
	for i := range validators {
		n, err := c.open(i, addresses[i], slices.Delete(slices.Clone(others), i, i+1), keys[i], votes[i], genesis, tune)
		if err != nil {
			return nil, fmt.Errorf("validator %d: %w", i, err)
		}
		if err := n.Start(); err != nil {
			return nil, fmt.Errorf("start validator %d: %w", i, err)
		}
		c.nodes = append(c.nodes, n)
	}
	return c, c.awaitBlocks(2)
}

// open makes one validator in a folder of its own.
func (c *cluster) open(i int, address string, others []string, key *p2p.NodeKey, vote ed25519.PrivKey, genesis *types.GenesisDoc,
	tune func(*config.Config)) (*node.Node, error) {
	cfg := config.DefaultConfig()
	cfg.SetRoot(filepath.Join(c.dir, fmt.Sprint("node-", i)))
	for _, dir := range []string{"config", "data"} {
		if err := os.MkdirAll(filepath.Join(cfg.RootDir, dir), 0o700); err != nil {
			return nil, fmt.Errorf("make a folder: %w", err)
		}
	}
	// Nobody asks it but this process.
	cfg.RPC.ListenAddress, cfg.TxIndex.Indexer = "", "null"
	cfg.P2P.ListenAddress, cfg.P2P.PersistentPeers = "tcp://"+address, strings.Join(others, ",")
	cfg.P2P.AddrBookStrict, cfg.P2P.AllowDuplicateIP, cfg.P2P.PexReactor = false, true, false
	// As much as the load may have in flight: no record is refused for want of room.
	cfg.Mempool.Size, cfg.Mempool.CacheSize = 200_000, 400_000
	tune(cfg)
	if err := cfg.ValidateBasic(); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	signer := privval.NewFilePV(vote, cfg.PrivValidatorKeyFile(), cfg.PrivValidatorStateFile())
	signer.Save()
	raw, err := genesisJSON(genesis)
	if err != nil {
		return nil, err
	}
	return node.NewNode(context.Background(), cfg, signer, key, proxy.NewLocalClientCreator(kvstore.NewInMemoryApplication()),
		func() (node.ChecksummedGenesisDoc, error) {
			sum := sha256.Sum256(raw)
			return node.ChecksummedGenesisDoc{GenesisDoc: genesis, Sha256Checksum: sum[:]}, nil
		}, config.DefaultDBProvider, node.DefaultMetricsProvider(cfg.Instrumentation), log.NewNopLogger())
}

// awaitBlocks waits until each validator tells of a block of that height or more.
func (c *cluster) awaitBlocks(height int64) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for i, n := range c.nodes {
		sub, err := n.EventBus().Subscribe(ctx, "begin", types.EventQueryNewBlock, 1000)
		if err != nil {
			return fmt.Errorf("follow validator %d: %w", i, err)
		}
		for at := int64(0); at < height; {
			select {
			case m := <-sub.Out():
				at = m.Data().(types.EventDataNewBlock).Block.Height
			case <-sub.Canceled():
				return fmt.Errorf("follow validator %d: %w", i, sub.Err())
			case <-ctx.Done():
				return fmt.Errorf("validator %d has no block %d after %v", i, height, limit)
			}
		}
		if err := n.EventBus().Unsubscribe(ctx, "begin", types.EventQueryNewBlock); err != nil {
			return fmt.Errorf("follow validator %d: %w", i, err)
		}
	}
	return nil
}

// freeAddresses returns addresses on loopback that nobody listens on.
func freeAddresses(n int) ([]string, error) {
	var out []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer func() { _ = l.Close() }() // all at the end: no port comes twice
		out = append(out, l.Addr().String())
	}
	return out, nil
}
