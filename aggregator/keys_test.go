package aggregator_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"fairwatt/aggregator/console"
	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/aggregator/mc"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/wire"
)

// together waits until no aggregator is behind another.
func (w *town) together() {
	newest := uint64(0)
	for _, da := range w.g.DAs() {
		newest = max(newest, w.da(da.ID).State().Height())
	}
	for _, da := range w.g.DAs() {
		for w.da(da.ID).State().Height() < newest {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			_ = w.da(da.ID).Wait(ctx, w.da(da.ID).Snapshot().Version)
			cancel()
		}
	}
}

// TestKeysOfARunningChain: a member is registered by its own word, changes its key, is
// suspended, reinstated and revoked, and every receipt says which key is good for what.
func TestKeysOfARunningChain(t *testing.T) {
	g := testGenesis()
	g.Params.Possession = true
	w := newTown(t, g)
	w.startAll()
	centre, _ := w.centre(filepath.Join(w.dir, "counter.db"))
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	possess := func(name string, statement []byte) []byte {
		b, err := wire.Possess(ledgertest.Key(name), w.chain, "pv-9", statement)
		must("possess", err)
		return b
	}
	reg := &fairwattpb.Registration{Id: "pv-9", Site: "harbour", Roles: []fairwattpb.Role{fairwattpb.Role_ROLE_SELLER},
		PublicKey: string(ledgertest.PublicKey("pv-9")), Simulated: true, Possession: possess("pv-8", wire.Enrolment(true, false, nil, nil))}
	if err := centre.Register(ctx, reg); err == nil {
		t.Fatal("a key was registered by the word of another")
	}
	reg.Possession = possess("pv-9", wire.Enrolment(true, false, nil, nil))
	must("register", centre.Register(ctx, reg))

	d := w.device("pv-9", "harbour")
	says := func(key string, counter uint64, seq uint64) *fairwattpb.Outcome {
		sealed := d.seal(key, counter, d.gate(seq, open))
		w.together() // who is behind knows the key of before
		d.publish(sealed)
		e, _ := d.wait(idOf(sealed))
		return e.GetOutcome()
	}
	applied(t, "the first key", says("pv-9", 1, 1))
	change := d.seal("pv-9", 2, &fairwattpb.Record{Body: &fairwattpb.Record_KeyChange{KeyChange: &fairwattpb.KeyChange{
		NewKey: string(ledgertest.PublicKey("pv-9-2")), Possession: possess("pv-9-2", wire.Succession(string(ledgertest.PublicKey("pv-9")))),
	}}})
	d.publish(change)
	e, _ := d.wait(idOf(change))
	applied(t, "key change", e.GetOutcome())
	refusedWith(t, "the old key", wire.CodeKeyChanged, says("pv-9", 3, 2))
	applied(t, "the new key", says("pv-9-2", 4, 2))

	must("suspend", centre.Suspend(ctx, "pv-9", "looked at"))
	refusedWith(t, "a suspended member", wire.CodeSuspended, says("pv-9-2", 5, 3))
	must("change", centre.ChangeMember(ctx, &fairwattpb.MemberChange{Id: "pv-9", Roles: []fairwattpb.Role{fairwattpb.Role_ROLE_BUYER}}))
	must("reinstate", centre.Reinstate(ctx, "pv-9", ""))
	applied(t, "a reinstated member", says("pv-9-2", 6, 3))
	// A thief has used up the counters of the key; the owner has the paper.
	applied(t, "a great counter", says("pv-9-2", 1<<64-1, 4))
	// It asks for a recovery key by its key of now; whoever signs with another is not it.
	for name, want := range map[string]error{"pv-9": mc.ErrAnotherKey, "pv-9-2": nil} {
		form := &wire.EnrolmentForm{ID: "pv-9", Roles: []string{wire.RoleBuyer}, PublicKey: ledgertest.PublicKey(name), RecoveryHash: ledgertest.RecoveryHash("pv-9")}
		if err := centre.ChangeRecovery(ctx, form); !errors.Is(err, want) {
			t.Errorf("a recovery key by %s: %v, want %v", name, err, want)
		}
	}
	must("recover", centre.Recover(ctx, "pv-9", "stolen", ledgertest.Key("recovery of pv-9")))
	refusedWith(t, "a revoked member", wire.CodeRevoked, says("pv-9-2", 7, 5))
	for what, err := range map[string]error{"reinstated": centre.Reinstate(ctx, "pv-9", ""), "revoked again": centre.Revoke(ctx, "pv-9", "")} {
		if err == nil {
			t.Errorf("a revoked member was %s", what)
		}
	}
	w.together()
	p, ok := w.da("da-1").State().Participant("pv-9")
	if !ok || p.Standing != ledger.Revoked || p.Reason != "stolen" || !p.Buyer {
		t.Errorf("%+v", p)
	}
	shown, ok := w.da("da-1").Archive().Participant("pv-9")
	if want := (console.Membership{Standing: "revoked", StandingHeight: p.StandingAt, StandingReason: "stolen", KeyHeight: p.KeyHeight}); !ok || shown.Membership != want || want.KeyHeight == 0 {
		t.Errorf("the page says %+v, want %+v", shown, want)
	}
	if found, err := w.da("da-1").Archive().Search("pv-9"); err != nil || len(found) != 1 || found[0].Text != "revoked" {
		t.Errorf("the search finds %+v, %v", found, err)
	}
}
