package agent

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"fairwatt/agent/outbox"
	"fairwatt/proto/durable"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/mqtt"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// NextKeyFile is the name of the key that is to take the place of [KeyFile]. It stands in
// the directory while a change is under way.
const NextKeyFile = "next.key"

// A KeyChange says what [KeyChange.Run] works with. The agent itself must not run: the
// outbox is one program's.
type KeyChange struct {
	Config Config // site, device, data directory, simulated
	Chain  *Chain
	Pipes  []mqtt.Pipe // not open yet; Run closes them
	Outbox *outbox.Outbox
	Wall   func() time.Time
	Logger *slog.Logger
}

// ErrRecordsWait is the reason for a key change that would make records void that the old
// key has signed.
var ErrRecordsWait = errors.New("change key: records of this device wait for their outcome, and another key would make them void: let the agent run until they have it")

// KeyChanging tells whether a change of the key in a directory is under way.
func KeyChanging(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, NextKeyFile))
	return err == nil
}

// Run gives the device another key, and goes on with a change that was cut off. The next
// key is on disk before the chain hears of it, and takes the old one's place after the
// chain has said so: whenever this ends, one of the two files holds the key that the chain
// knows. It returns the new key, an error that says what the chain refused, or that of ctx.
func (k *KeyChange) Run(ctx context.Context) (public ed25519.PublicKey, err error) {
	key, err := LoadKey(filepath.Join(k.Config.Data, KeyFile))
	if err != nil {
		return nil, err
	}
	waiting, err := k.Outbox.Due(k.Wall())
	if err != nil {
		return nil, fmt.Errorf("change key: %w", err)
	}
	if len(waiting) > 0 && !KeyChanging(k.Config.Data) {
		return nil, ErrRecordsWait
	}
	next, err := nextKey(k.Config.Data)
	if err != nil {
		return nil, err
	}
	id, err := k.queued(waiting, key, next)
	if err != nil {
		return nil, err
	}
	outcome, err := k.outcome(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("change key: the chain has not answered; run this again: %w", err)
	}
	code := outcome.GetCode()
	if code == "" || code == wire.CodeKeyChanged { // or it had changed before, and this was not told
		if err := replaceKey(k.Config.Data); err != nil {
			return nil, err
		}
	}
	k.Outbox.Done(id)
	if code != "" && code != wire.CodeKeyChanged {
		return nil, errors.Join(fmt.Errorf("change key: the chain refused it: %s: %s; the key stays", code, cut(outcome.GetReason())), os.Remove(filepath.Join(k.Config.Data, NextKeyFile)))
	}
	return next.Public().(ed25519.PublicKey), nil
}

// queued returns the record of this change: the one that waits, or a new one.
func (k *KeyChange) queued(waiting []outbox.Record, key, next ed25519.PrivateKey) (id [32]byte, err error) {
	to := string(seal.FormatKey(next.Public().(ed25519.PublicKey)))
	if len(waiting) > 0 {
		r, err := recordOf(waiting[0].Sealed)
		if err != nil {
			return id, err
		}
		if len(waiting) != 1 || r.GetKeyChange().GetNewKey() != to {
			return id, ErrRecordsWait
		}
		return waiting[0].ID, nil
	}
	old := string(seal.FormatKey(key.Public().(ed25519.PublicKey)))
	possession, err := wire.Possess(next, k.Chain.ID, k.Config.Device, wire.Succession(old))
	if err != nil {
		return id, err
	}
	record := &fairwattpb.Record{Body: &fairwattpb.Record_KeyChange{KeyChange: &fairwattpb.KeyChange{NewKey: to, Possession: possession}}}
	sealed, err := k.Outbox.Commit(k.Wall().UnixMilli(), outbox.Commit{Record: []outbox.Entry{{Build: func(counter uint64) ([]byte, error) {
		record.ChainId, record.Sender, record.Counter = k.Chain.ID[:], k.Config.Device, counter
		record.TimeMs, record.Simulated = k.Wall().UnixMilli(), k.Config.Simulated
		payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(record)
		if err != nil {
			return nil, fmt.Errorf("marshal key change: %w", err)
		}
		return seal.Seal(key, k.Config.Device, seal.DomainRecord, k.Chain.ID, payload)
	}}}})
	if err != nil {
		return id, fmt.Errorf("change key: %w", err)
	}
	return sealed[0].ID, nil
}

// outcome sends what the outbox holds until f+1 data aggregators have said what became of a
// record.
func (k *KeyChange) outcome(ctx context.Context, id [32]byte) (said *fairwattpb.Outcome, err error) {
	topics := wire.Topics{Site: k.Config.Site, Device: k.Config.Device}
	pub := newPublisher(k.Pipes, k.Outbox, topics, k.Logger)
	check := newChecker(k.Chain, func(e *fairwattpb.ReceiptEntry) bool {
		return e.GetSender() == k.Config.Device && string(e.GetRecordId()) == string(id[:])
	}, k.Logger)
	pub.attach()
	for _, pipe := range k.Pipes {
		pipe.Subscribe(topics.Receipt("+"), check.post)
	}
	for _, pipe := range k.Pipes {
		if err := pipe.Open(); err != nil {
			return nil, err
		}
		defer pipe.Close()
	}
	running, stop := context.WithCancel(ctx)
	g, running := errgroup.WithContext(running)
	g.Go(func() error { return pub.run(running) })
	g.Go(func() error { check.run(running); return nil })
	defer func() { stop(); err = errors.Join(err, ended(g.Wait())) }()
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case outcomes := <-check.settled:
			for _, o := range outcomes {
				if o.Busy == nil && !o.Held && o.Entry.GetOutcome() != nil {
					return o.Entry.GetOutcome(), nil
				}
			}
		}
	}
}

// ended leaves out that something was told to stop.
func ended(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

// nextKey reads the next key of a directory, or makes it.
func nextKey(dir string) (ed25519.PrivateKey, error) {
	path := filepath.Join(dir, NextKeyFile)
	if key, err := LoadKey(path); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate key: %w", err)
	}
	secret := pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: key.Seed()})
	if err := durable.WriteBytes(path, 0o600, secret); err != nil {
		return nil, fmt.Errorf("write key: %w", err)
	}
	return key, nil
}

// replaceKey puts the next key into the old one's place, in one step.
func replaceKey(dir string) error {
	if err := durable.Rename(filepath.Join(dir, NextKeyFile), filepath.Join(dir, KeyFile)); err != nil {
		return fmt.Errorf("switch to the next key: %w", err)
	}
	return nil
}
