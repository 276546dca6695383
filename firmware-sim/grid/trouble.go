package grid

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
)

// after waits. It is false if the context ended before the time came.
func after(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// killRoot ends the accounting node of the moment, as a crash would.
func (g *grid) killRoot(ctx context.Context) error {
	if g.cfg.KillRootAfter == 0 || !after(ctx, g.cfg.KillRootAfter) {
		return nil
	}
	leader := g.nodes[0].da.Stats().Leader
	for _, node := range g.nodes {
		if node.id == leader {
			g.killed = killing{root: leader, at: time.Now()}
			g.log.Warn("killing the accounting node", "da", leader)
			node.kill()
			return nil
		}
	}
	return fmt.Errorf("kill root: %q is no data aggregator", leader)
}

// breakBroker stops the broker for a while in the middle of the run.
func (g *grid) breakBroker(ctx context.Context) error {
	if !g.cfg.misbehaves(BrokerOutage) {
		return nil
	}
	from := g.cfg.For / 3
	if from == 0 {
		from = 20 * time.Second
	}
	if !after(ctx, from) {
		return nil
	}
	g.log.Warn("stopping the broker", "for", outage)
	if err := g.broker.Stop(); err != nil {
		return fmt.Errorf("stop broker: %w", err)
	}
	after(ctx, outage)
	g.log.Warn("starting the broker again")
	return g.broker.Start()
}

// forgeEvery is how often the stranger tries.
const forgeEvery = 500 * time.Millisecond

// forge offers the data aggregators, again and again, what they must refuse: a
// record in a participant's name with a stranger's signature, a record of an
// unregistered sender, and bytes that are no record. It is an error if one is
// taken. forge also offers copies of final records: a data aggregator sends
// their receipts again, and the report looks for a record that stands twice.
func (g *grid) forge(ctx context.Context) error {
	if !g.cfg.misbehaves(ForgedRecords) {
		return nil
	}
	_, stranger, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	chain := g.community.Genesis.ChainID()
	counter := uint64(1 << 40)
	for after(ctx, forgeEvery) {
		counter++
		for _, name := range []string{g.people[0].id, "stranger"} {
			sealed, err := sealOffer(stranger, chain, name, counter)
			if err != nil {
				return err
			}
			if err := g.mustRefuse(ctx, "a record in the name of "+name, sealed); err != nil {
				return err
			}
		}
		if err := g.mustRefuse(ctx, "bytes that are no record", []byte("not a record")); err != nil {
			return err
		}
		if err := g.replay(ctx); err != nil {
			return err
		}
	}
	return nil
}

// replay offers the newest final record a second time.
func (g *grid) replay(ctx context.Context) error {
	node := g.alive()[0]
	height := node.da.State().Height()
	if height == 0 {
		return nil
	}
	sealed, err := node.recordAt(ctx, height)
	if err != nil || sealed == nil {
		return err
	}
	for _, node := range g.alive() {
		// Taken or refused, it may not stand in a block again: the report looks.
		if err := node.da.Submit(ctx, sealed); err != nil {
			g.log.Debug("a record offered again was refused", "da", node.id, "err", err)
		}
	}
	return nil
}

// mustRefuse submits to every living data aggregator.
func (g *grid) mustRefuse(ctx context.Context, what string, sealed []byte) error {
	for _, node := range g.alive() {
		err := node.da.Submit(ctx, sealed)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			return fmt.Errorf("%s took %s", node.id, what)
		}
		g.forgedRefused.Add(1)
	}
	return nil
}

func sealOffer(key ed25519.PrivateKey, chain [32]byte, sender string, counter uint64) ([]byte, error) {
	now := time.Now().UnixMilli()
	payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(&fairwattpb.Record{
		ChainId: chain[:], Sender: sender, Counter: counter, TimeMs: now, Simulated: true,
		Body: &fairwattpb.Record_Offer{Offer: &fairwattpb.Offer{
			OfferId: fmt.Sprint("forged-", counter), VolumeWh: 1000, PriceMicroPerKwh: 1, ExpiresMs: now + 60_000,
		}},
	})
	if err != nil {
		return nil, err
	}
	return seal.Seal(key, sender, seal.DomainRecord, chain, payload)
}

var errFound = errors.New("found")

// recordAt returns a record of a block, nil when the block has none.
func (n *aggregatorNode) recordAt(ctx context.Context, height uint64) (sealed []byte, err error) {
	err = n.da.Follow(ctx, height, func(cb *fairwattpb.CertifiedBlock) error {
		var block fairwattpb.Block
		if err := proto.Unmarshal(cb.GetBlock(), &block); err != nil {
			return err
		}
		if records := block.GetRecords(); len(records) > 0 {
			sealed = records[0]
		}
		return errFound
	})
	if errors.Is(err, errFound) || ctx.Err() != nil {
		err = nil
	}
	return sealed, err
}
