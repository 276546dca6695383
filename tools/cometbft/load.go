package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cometbft/cometbft/config"
	"github.com/cometbft/cometbft/types"
)

// inFlight is how many records are under way at once where no rate is kept to.
const inFlight = 2000

// A speed is what a run reached.
type speed struct {
	RecordsPerS  float64
	P50Ms, P99Ms float64
}

// genesisJSON is the genesis as the validators' checksum has it.
func genesisJSON(g *types.GenesisDoc) ([]byte, error) {
	raw, err := json.Marshal(g)
	if err != nil {
		return nil, fmt.Errorf("genesis: %w", err)
	}
	return raw, nil
}

// transactions makes n transactions of so many bytes, as kvstore takes them: a key,
// which is the number, and a value that does not repeat.
func transactions(n, size int) []types.Tx {
	const letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	random := rand.New(rand.NewPCG(1, 2))
	out := make([]types.Tx, n)
	for i := range out {
		tx := fmt.Appendf(nil, "%08d=", i)
		for len(tx) < size {
			tx = append(tx, letters[random.IntN(len(letters))])
		}
		out[i] = tx
	}
	return out
}

// finality notes when each record is final at the last validator.
type finality struct {
	room chan struct{} // a place for each record in flight
	all  chan struct{} // closed when every record is final

	mu   sync.Mutex
	sent []time.Time
	seen []int
	took []float64 // ms
}

// block notes the records of a block that one validator has stored.
func (f *finality) block(b *types.Block) error {
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, tx := range b.Txs {
		key, _, _ := strings.Cut(string(tx), "=")
		i, err := strconv.Atoi(key)
		if err != nil || i >= len(f.seen) {
			return fmt.Errorf("block %d holds a transaction that was not sent: %.20q", b.Height, tx)
		}
		if f.seen[i]++; f.seen[i] != validators {
			continue
		}
		f.took = append(f.took, float64(now.Sub(f.sent[i]).Microseconds())/1000)
		<-f.room
		if len(f.took) == len(f.seen) {
			close(f.all)
		}
	}
	return nil
}

// measureCometBFT sends n records of so many bytes to four new validators, perS a
// second or, at 0, with inFlight under way. The validators run on.
func measureCometBFT(dir string, tune func(*config.Config), n, size, perS int) (speed, error) {
	c, err := startCluster(dir, tune)
	if err != nil {
		return speed{}, err
	}
	room := inFlight
	if perS > 0 {
		room = n
	}
	f := &finality{room: make(chan struct{}, room), all: make(chan struct{}), sent: make([]time.Time, n), seen: make([]int, n)}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	failed := make(chan error, validators+1)
	if err := c.follow(ctx, f, failed); err != nil {
		return speed{}, err
	}
	records := transactions(n, size)
	began := time.Now()
	go func() {
		if err := c.send(ctx, f, records, perS); err != nil {
			failed <- err
		}
	}()
	select {
	case <-f.all:
	case err := <-failed:
		return speed{}, err
	case <-ctx.Done():
		return speed{}, fmt.Errorf("not all of %d records are final after %v", n, limit)
	}
	elapsed := time.Since(began)
	slices.Sort(f.took)
	return speed{float64(n) / elapsed.Seconds(), f.took[n/2], f.took[n*99/100]}, nil
}

// follow notes each block of each validator until the context ends.
func (c *cluster) follow(ctx context.Context, f *finality, failed chan<- error) error {
	for i, n := range c.nodes {
		sub, err := n.EventBus().Subscribe(ctx, "load", types.EventQueryNewBlock, 10_000)
		if err != nil {
			return fmt.Errorf("follow validator %d: %w", i, err)
		}
		go func() {
			for {
				select {
				case m := <-sub.Out():
					if err := f.block(m.Data().(types.EventDataNewBlock).Block); err != nil {
						failed <- err
						return
					}
				case <-sub.Canceled():
					if ctx.Err() == nil {
						failed <- fmt.Errorf("follow validator %d: %w", i, sub.Err())
					}
					return
				case <-ctx.Done():
					return
				}
			}
		}()
	}
	return nil
}

// send hands each record to the next validator in turn.
func (c *cluster) send(ctx context.Context, f *finality, records []types.Tx, perS int) error {
	began := time.Now()
	for i, tx := range records {
		if perS > 0 {
			if ahead := time.Duration(i)*time.Second/time.Duration(perS) - time.Since(began); ahead > time.Millisecond {
				time.Sleep(ahead) // the pace is what is measured at
			}
		}
		select {
		case f.room <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		f.mu.Lock()
		f.sent[i] = time.Now()
		f.mu.Unlock()
		answer, err := c.nodes[i%validators].Mempool().CheckTx(tx, "")
		if err != nil {
			return fmt.Errorf("record %d: %w", i, err)
		}
		answer.Wait()
		if r := answer.Response.GetCheckTx(); r == nil || r.Code != 0 {
			return fmt.Errorf("record %d was refused: %v", i, r)
		}
	}
	return nil
}
