package mc_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/aggregator/mc"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// A door is a data aggregator of a chain that lets records in, or says why not.
type door struct {
	*quickChain
	says func(sealed []byte) error // nil: what the rules say
	took atomic.Int64
}

func (d *door) Submit(ctx context.Context, sealed []byte) error {
	d.took.Add(1)
	if d.says != nil {
		return d.says(sealed)
	}
	return d.quickChain.Submit(ctx, sealed)
}

// recordThrough runs a centre that records through doors, in a bubble; do has a minute.
func recordThrough(t *testing.T, q *quickChain, doors []*door, do func(context.Context, *mc.Centre) error) (after time.Duration, err error) {
	t.Helper()
	q.t = t
	q.up = make(chan struct{}) // of this bubble
	var chains []mc.Chain
	for _, d := range doors {
		chains = append(chains, d)
	}
	c, err := mc.NewCentre(mc.CentreConfig{ID: ledgertest.Centre, Key: ledgertest.Key(ledgertest.Centre), Genesis: q.c.Genesis, Chains: chains})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	running := make(chan error, 1)
	go func() { running <- c.Record(ctx) }()
	began := time.Now()
	err = do(ctx, c)
	after = time.Since(began)
	cancel()
	if err := <-running; err != nil {
		t.Error(err)
	}
	return after, err
}

func notAllowed(reason string) func([]byte) error {
	return func([]byte) error { return &ledger.Refusal{Code: wire.CodeNotAllowed, Reason: reason} }
}

func gift(ctx context.Context, c *mc.Centre) error {
	return c.Deposit(ctx, &fairwattpb.Deposit{To: "buyer-1", AmountMicro: 1, Reference: "r"})
}

// A record that the rules keep out of every block is told to its sender at once, by
// code and sentence, and not when its time is over.
func TestARecordThatNoDoorLetsInIsToldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQuickChain(t)
		doors := []*door{{quickChain: q}, {quickChain: q}, {quickChain: q}, {quickChain: q}}
		after, err := recordThrough(t, q, doors, func(ctx context.Context, c *mc.Centre) error {
			return c.Warn(ctx, &fairwattpb.WarningNotice{Area: "hill", Kind: "wind", FromMs: 1, UntilMs: 2, SourceHash: make([]byte, 32)})
		})
		if !errors.Is(err, mc.ErrRefused) || !strings.Contains(err.Error(), `a witness counts with "witnessed" (not_allowed)`) {
			t.Errorf("%v", err)
		}
		if after > time.Second {
			t.Errorf("told after %v", after)
		}
	})
}

// What f data aggregators say of a record decides nothing: neither a refusal, nor several of
// one, nor refusals for different reasons.
func TestADoorAloneRefusesNothing(t *testing.T) {
	for name, says := range map[string][4]func([]byte) error{
		"one lies":                 {notAllowed("I lie"), nil, nil, nil},
		"the same one, again":      {notAllowed("I lie"), func([]byte) error { return errors.New("down") }, nil, nil},
		"two reasons of two doors": {notAllowed("I lie"), func([]byte) error { return &ledger.Refusal{Code: wire.CodeUnknownSigner} }, nil, nil},
		"no rule that is named":    {func([]byte) error { return &ledger.Refusal{} }, func([]byte) error { return &ledger.Refusal{} }, nil, nil},
		"a counter in a block to come": {
			func([]byte) error { return &ledger.Refusal{Code: wire.CodeReplayed} },
			func([]byte) error { return &ledger.Refusal{Code: wire.CodeReplayed} }, nil, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newQuickChain(t)
				doors := make([]*door, 4)
				for i := range doors {
					doors[i] = &door{quickChain: q, says: says[i]}
				}
				if _, err := recordThrough(t, q, doors, gift); err != nil {
					t.Error(err)
				}
				if a, _ := q.c.State.Account("buyer-1"); a.WalletMicro != 1 || doors[0].took.Load() == 0 {
					t.Errorf("wallet %d, the first door was asked %d times", a.WalletMicro, doors[0].took.Load())
				}
			})
		})
	}
}

// Where f+1 say the same it is so, though another lets the record in later.
func TestFPlusOneDoorsRefuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQuickChain(t)
		down := func([]byte) error { return errors.New("down") }
		doors := []*door{{quickChain: q, says: notAllowed("so it is")}, {quickChain: q, says: down}, {quickChain: q, says: notAllowed("so it is")}, {quickChain: q, says: down}}
		after, err := recordThrough(t, q, doors, gift)
		if !errors.Is(err, mc.ErrRefused) || !strings.HasSuffix(err.Error(), "so it is (not_allowed)") {
			t.Errorf("%v", err)
		}
		if after > 10*time.Second {
			t.Errorf("told after %v", after)
		}
	})
}

// A recovery word that is not the member's is told at once, whoever may have typed it.
func TestAWrongRecoveryWordIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQuickChain(t)
		after, err := recordThrough(t, q, []*door{{quickChain: q}, {quickChain: q}}, func(ctx context.Context, c *mc.Centre) error {
			return c.Recover(ctx, "buyer-1", "", ledgertest.Key("another word"))
		})
		if !errors.Is(err, mc.ErrRefused) || !strings.Contains(err.Error(), wire.CodeRecoveryWrong) || after > time.Second {
			t.Errorf("after %v: %v", after, err)
		}
	})
}

// Of two records with one counter the chain takes one. The other is told when the block of
// the first is here: until then it could have been that block's own.
func TestACounterThatWasUsedIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQuickChain(t, ledgertest.Robust)
		verdict := func(ctx context.Context, c *mc.Centre, trade string) error {
			return c.Verdict(ctx, "judge-1", ledgertest.Key("judge-1"), &fairwattpb.Verdict{
				TradeId: trade, Finding: fairwattpb.Finding_FINDING_BUYER, TextHash: make([]byte, 32)})
		}
		after, err := recordThrough(t, q, []*door{{quickChain: q}, {quickChain: q}}, func(ctx context.Context, c *mc.Centre) error {
			other := make(chan error, 1)
			go func() { other <- verdict(ctx, c, "a") }()
			return errors.Join(verdict(ctx, c, "b"), <-other)
		})
		if err == nil || !strings.Contains(err.Error(), "no case is open") || !strings.Contains(err.Error(), "(replayed)") || after > 10*time.Second {
			t.Errorf("after %v: %v", after, err)
		}
	})
}

// The same record twice in a millisecond is one record: who comes second is told that it is on
// its way, and the first still hears how it ends.
func TestTheSameRecordTwiceIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQuickChain(t, ledgertest.Robust)
		verdict := func(ctx context.Context, c *mc.Centre) error {
			return c.Verdict(ctx, "judge-1", ledgertest.Key("judge-1"), &fairwattpb.Verdict{
				TradeId: "a", Finding: fairwattpb.Finding_FINDING_BUYER, TextHash: make([]byte, 32)})
		}
		after, err := recordThrough(t, q, []*door{{quickChain: q}, {quickChain: q}}, func(ctx context.Context, c *mc.Centre) error {
			other := make(chan error, 1)
			go func() { other <- verdict(ctx, c) }()
			return errors.Join(verdict(ctx, c), <-other)
		})
		if err == nil || !strings.Contains(err.Error(), "no case is open") || !strings.Contains(err.Error(), "this very record is on its way") || after > 10*time.Second {
			t.Errorf("after %v: %v", after, err)
		}
	})
}
