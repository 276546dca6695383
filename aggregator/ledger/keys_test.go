package ledger_test

import (
	"bytes"
	"testing"

	"fairwatt/aggregator/ledger"
	"fairwatt/aggregator/ledger/ledgertest"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"

	"pgregory.net/rapid"
)

func possession(g *ledger.Genesis) { g.Params.Possession = true }

func unbondOf(member string, amount int64) record {
	r := unbond(amount)
	r.GetUnbond().Member = member
	return r
}

func withdrawalOf(member string, amount int64, payee byte) record {
	r := withdrawal("w", amount)
	r.GetWithdrawal().Member, r.GetWithdrawal().PayeeHash = member, bytes.Repeat([]byte{payee}, 32)
	return r
}

// recoverable registers a recovery key of a member.
func (w *world) recoverable(id string) {
	w.must(mc, ledgertest.ChangeMember(&fairwattpb.MemberChange{Id: id, RecoveryHash: ledgertest.RecoveryHash(id)}))
}

// payee registers the account that a member is paid out to.
func (w *world) payee(id string, account byte) {
	w.must(mc, ledgertest.ChangeMember(&fairwattpb.MemberChange{Id: id, PayeeHash: bytes.Repeat([]byte{account}, 32)}))
}

// blocks makes blocks of nothing.
func (w *world) blocks(n int) {
	for range n {
		w.wait(1)
	}
}

func (w *world) twoKeyChanges() {
	w.must(seller, w.KeyChange(seller, "seller-1-2"))
	w.blocks(ledger.KeyChangeBlocks - 1)
	w.must(seller, w.KeyChange(seller, "seller-1-3"))
}

// possessed is a registration with the word of the key of a name, for what a test changes
// afterwards.
func (w *world) possessed(change func(*fairwattpb.Registration)) record {
	r := w.registration("new", "new")
	r.GetRegistration().RecoveryHash, r.GetRegistration().PayeeHash = ledgertest.RecoveryHash("new"), make([]byte, 32)
	w.Possessed(r.GetRegistration(), "new")
	change(r.GetRegistration())
	return r
}

var keyRows = []marketRow{
	{"register another's key", wire.CodePossessionWrong, nil, mc, func(w *world) record {
		return w.possessed(func(r *fairwattpb.Registration) { r.PublicKey = string(ledgertest.PublicKey("other")) })
	}},
	{"register a key under another id", wire.CodePossessionWrong, nil, mc, func(w *world) record {
		return w.possessed(func(r *fairwattpb.Registration) { r.Id = "newer" })
	}},
	{"register a key for another role", wire.CodePossessionWrong, nil, mc, func(w *world) record {
		return w.possessed(func(r *fairwattpb.Registration) { r.Roles = []fairwattpb.Role{fairwattpb.Role_ROLE_SELLER} })
	}},
	{"register a key with another recovery key", wire.CodePossessionWrong, nil, mc, func(w *world) record {
		return w.possessed(func(r *fairwattpb.Registration) { r.RecoveryHash = ledgertest.RecoveryHash("other") })
	}},
	{"register a key with another payee", wire.CodePossessionWrong, nil, mc, func(w *world) record {
		return w.possessed(func(r *fairwattpb.Registration) { r.PayeeHash = nil })
	}},

	{"change a key to another's", wire.CodePossessionWrong, nil, seller, func(w *world) record {
		r := w.KeyChange(seller, "seller-1-2")
		r.GetKeyChange().NewKey = string(ledgertest.PublicKey("seller-1-3"))
		return r
	}},
	{"change a key by the word for another", wire.CodePossessionWrong, nil, seller, func(w *world) record { return w.KeyChange(buyer, "seller-1-2") }},
	{"change a key to itself", wire.CodeAlreadyRegistered, nil, seller, func(w *world) record { return w.KeyChange(seller, seller) }},
	{"change a key to an aggregator's", wire.CodeAlreadyRegistered, nil, seller, func(w *world) record { return w.KeyChange(seller, "da-1") }},
	{"change a key again soon", wire.CodeKeyTooSoon, func(w *world) {
		w.must(seller, w.KeyChange(seller, "seller-1-2"))
		w.blocks(ledger.KeyChangeBlocks - 2)
	}, seller, func(w *world) record { return w.KeyChange(seller, "seller-1-3") }},
	{"register a key of before", wire.CodeAlreadyRegistered, func(w *world) { w.must(seller, w.KeyChange(seller, "seller-1-2")) }, mc,
		func(w *world) record { return w.registration("new", seller) }},

	{"revoke a stranger", wire.CodeUnknownParticipant, nil, mc, func(*world) record { return ledgertest.Revoke("stranger") }},
	{"revoke a centre", wire.CodeUnknownParticipant, nil, mc, func(*world) record { return ledgertest.Revoke(mc) }},
	{"revoke twice", wire.CodeStandingWrong, func(w *world) { w.must(mc, ledgertest.Revoke(seller)) }, mc, func(*world) record { return ledgertest.Revoke(seller) }},
	{"suspend a revoked member", wire.CodeStandingWrong, func(w *world) { w.must(mc, ledgertest.Revoke(seller)) }, mc,
		func(*world) record { return ledgertest.Suspend(seller) }},
	{"suspend twice", wire.CodeStandingWrong, func(w *world) { w.must(mc, ledgertest.Suspend(seller)) }, mc, func(*world) record { return ledgertest.Suspend(seller) }},
	{"reinstate an active member", wire.CodeStandingWrong, nil, mc, func(*world) record { return ledgertest.Reinstate(seller) }},
	{"reinstate a revoked member", wire.CodeStandingWrong, func(w *world) { w.must(mc, ledgertest.Revoke(seller)) }, mc,
		func(*world) record { return ledgertest.Reinstate(seller) }},

	{"answer a suspended buyer", wire.CodeSuspended, func(w *world) { w.toRequested(); w.must(mc, ledgertest.Suspend(buyer)) }, mc,
		func(w *world) record { return w.response(nil) }},
	{"answer a revoked buyer", wire.CodeRevoked, func(w *world) { w.toRequested(); w.must(mc, ledgertest.Revoke(buyer)) }, mc,
		func(w *world) record { return w.response(nil) }},
	{"pay a suspended seller", wire.CodeOfferUnknown, func(w *world) { w.toEscrowed(); w.must(mc, ledgertest.Suspend(seller)) }, buyer,
		func(*world) record { return pay(nil) }},
	{"pay one that sells no more", wire.CodeOfferUnknown, func(w *world) {
		w.toEscrowed()
		w.must(mc, ledgertest.ChangeMember(&fairwattpb.MemberChange{Id: seller, Roles: []fairwattpb.Role{fairwattpb.Role_ROLE_BUYER}}))
	}, buyer, func(*world) record { return pay(nil) }},

	{"change a stranger", wire.CodeUnknownParticipant, nil, mc, func(*world) record {
		return ledgertest.ChangeMember(&fairwattpb.MemberChange{Id: "stranger", Site: "site"})
	}},
	{"change a centre", wire.CodeUnknownParticipant, nil, mc, func(*world) record {
		return ledgertest.ChangeMember(&fairwattpb.MemberChange{Id: mc, Site: "site"})
	}},
	{"change a revoked member", wire.CodeStandingWrong, func(w *world) { w.must(mc, ledgertest.Revoke(seller)) }, mc, func(*world) record {
		return ledgertest.ChangeMember(&fairwattpb.MemberChange{Id: seller, PayeeHash: make([]byte, 32)})
	}},

	{"take an active member's money out", wire.CodeStandingWrong, twoKeys(nil, func(w *world) { w.funded(deposit(seller, 10, "d")) }), mc,
		func(*world) record { return withdrawalOf(seller, 1, 1) }},
	{"take an active member's bond back", wire.CodeStandingWrong, robustly(nil, nil), mc, func(*world) record { return unbondOf(seller, 1) }},
	{"pay oneself out to another account", wire.CodeWithdrawalWrong, twoKeys(nil, func(w *world) {
		w.funded(deposit(seller, 10, "d"))
		w.payee(seller, 7)
	}), seller, func(*world) record { return withdrawal("w", 1) }},
	{"pay a revoked member out to another account", wire.CodeWithdrawalWrong, twoKeys(nil, func(w *world) {
		w.funded(deposit(seller, 10, "d"))
		w.payee(seller, 7)
		w.must(mc, ledgertest.Revoke(seller))
	}), mc, func(*world) record { return withdrawalOf(seller, 1, 8) }},
}

// TestARegistrationShowsItsKey: with possession, a key that has signed for its id, its
// roles and its hashes is registered; without, one may still sign.
func TestARegistrationShowsItsKey(t *testing.T) {
	for _, rule := range []func(*ledger.Genesis){possession, nil} {
		w := newWorld(t, rule)
		w.must(mc, w.possessed(func(*fairwattpb.Registration) {}))
		p, ok := w.State.Participant("new")
		if !ok || p.RecoveryHash != string(ledgertest.RecoveryHash("new")) || len(p.PayeeHash) != 32 {
			t.Errorf("registered %+v", p)
		}
	}
}

// TestAKeyChangesBehindItsBlock: what the old key signed stands in the block of the
// change, and in none behind it; the new key is the other way round.
func TestAKeyChangesBehindItsBlock(t *testing.T) {
	w := newWorld(t, nil)
	change, along := w.seal(seller, w.KeyChange(seller, "seller-1-2")), w.seal(seller, gate(1, open))
	late := w.seal(seller, gate(2, blocked))
	early, err := seal.Seal(ledgertest.Key("seller-1-2"), seller, seal.DomainRecord, w.State.ChainID(), canonicalOf(t, w.stamped(seller, 9, gate(3, open))))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.State.CheckRecord(early); code(err) != wire.CodeBadSignature {
		t.Errorf("the new key before its time: %v", err)
	}
	st, err := w.Advance(change, along)
	if err != nil || !st.Outcomes()[0].Applied || !st.Outcomes()[1].Applied {
		t.Fatalf("%v, %v", st.Outcomes(), err)
	}
	if !st.NewKeys() || st.Reseats() {
		t.Errorf("new keys %v, reseats %v", st.NewKeys(), st.Reseats())
	}
	_, err = w.State.CheckRecord(late)
	if r, ok := err.(*ledger.Refusal); !ok || r.Code != wire.CodeKeyChanged || r.Reason != `"seller-1" has another key since block 1: this record is signed with the one before` {
		t.Errorf("the old key behind its block: %v", err)
	}
	// A data aggregator that has taken the old signature for good is told to forget it.
	if st, dropped, err := w.State.Build(w.Fields(), [][]byte{late}); err != nil || len(st.Records()) != 0 || dropped[0].Refusal.Code != wire.CodeKeyChanged {
		t.Errorf("built of the old key: %v, %v", dropped, err)
	}
	if st, err := w.Advance(early); err != nil || !st.Outcomes()[0].Applied {
		t.Errorf("the new key: %v", err)
	}
	if st := w.step(seller, gate(4, open)); st.NewKeys() {
		t.Error("a gate change is said to change keys")
	}
}

// TestOneKeyChangeInABlock: two changes in one block are signed by one key, and the second
// has not the word that it takes the place of the first. In the block that suspends or
// revokes there is none.
func TestOneKeyChangeInABlock(t *testing.T) {
	w := newWorld(t, nil)
	a, b := w.seal(seller, w.KeyChange(seller, "seller-1-2")), w.seal(seller, w.KeyChange(seller, "seller-1-3"))
	st, err := w.Advance(a, b)
	if err != nil || !st.Outcomes()[0].Applied || st.Outcomes()[1].Code != wire.CodeKeyTooSoon {
		t.Fatalf("%v, %v", st.Outcomes(), err)
	}
	for out, want := range map[record]string{ledgertest.Suspend(seller): wire.CodeSuspended, ledgertest.Revoke(seller): wire.CodeRevoked} {
		w := newWorld(t, nil)
		st, err := w.Advance(w.seal(mc, out), w.seal(seller, w.KeyChange(seller, "seller-1-2")), w.seal(seller, w.offer(1, 1)))
		if err != nil || !st.Outcomes()[0].Applied || st.Outcomes()[1].Code != want || st.Outcomes()[2].Code != want {
			t.Fatalf("%v, %v, want %s", st.Outcomes(), err, want)
		}
	}
}

// TestTradesGoOnOverAKeyChange: a trade that both sides change their keys in is settled as
// any other.
func TestTradesGoOnOverAKeyChange(t *testing.T) {
	w := newWorld(t, nil)
	w.toPaid()
	w.must(seller, w.KeyChange(seller, "seller-1-2"))
	w.must(seller, start(w.attest(open, 1), 1000)) // an attestation by the new key
	w.must(buyer, w.KeyChange(buyer, "buyer-1-2"))
	w.must(seller, w.bill(3000, 2000, 400_000))
	w.must(buyer, confirm(2100, 2000))
	w.status(wire.StatusSettled)
}

// TestARevokedMembersTradeEndsByMeters: the seller can send nothing more; its last reading
// is its bill, and its money goes to its payee by a centre and an auditor.
func TestARevokedMembersTradeEndsByMeters(t *testing.T) {
	w := newWorld(t, ledgertest.TwoKeys)
	for i, id := range []string{seller, buyer} {
		r := bonded(id, aBond, "bond-"+id)
		w.funded(r)
		w.payee(id, byte(i+1))
	}
	w.funded(deposit(buyer, 1_000_000, "d"))
	w.must(seller, gate(1, open))
	w.must(seller, w.offer(5000, 200_000))
	w.must(buyer, w.request(2000, 300_000))
	w.must(mc, w.response(nil))
	w.must(buyer, pay(nil))
	w.must(seller, start(w.attest(open, 1), 1000))
	w.must(seller, readingOf("seller-1-meter", 2500))
	w.recoverable(seller)
	w.must(seller, ledgertest.Recover(seller))
	w.must(buyer, readingOf("buyer-1-meter", 1600))
	w.wait(w.Genesis.Params.DeliverByMs)
	w.must(buyer, confirm(1600, 1500))
	if trade := w.status(wire.StatusSettledPartly); trade.PaidMicro != 300_000 {
		t.Errorf("paid %d", trade.PaidMicro)
	}
	a, _ := w.State.Account(seller)
	w.must(mc, unbondOf(seller, a.BondMicro))
	w.wait(2 * w.Genesis.Params.VerdictMs)
	if a, _ = w.State.Account(seller); a.BondMicro != 0 || a.LeavingMicro != 0 {
		t.Fatalf("the bond stays: %+v", a)
	}
	w.must(mc, withdrawalOf(seller, a.WalletMicro, 1))
	w.must(ledgertest.Auditor, approveOut(seller, "w"))
	w.must(mc, payout(seller, "w"))
	if a, _ = w.State.Account(seller); a.WalletMicro != 0 {
		t.Errorf("%d stay", a.WalletMicro)
	}
}

// TestAMemberIsReinstated: it offers again, with the key that it had.
func TestAMemberIsReinstated(t *testing.T) {
	w := newWorld(t, nil)
	w.must(seller, w.offer(1, 1))
	w.must(mc, ledgertest.Suspend(seller))
	if p, _ := w.State.Participant(seller); p.Standing != ledger.Suspended || p.StandingAt != 2 || p.Reason != "unpaid" || len(w.State.Offers()) != 0 {
		t.Errorf("%+v, %d offers", p, len(w.State.Offers()))
	}
	w.must(mc, ledgertest.Reinstate(seller))
	w.must(seller, w.offer(1, 1))
	if p, _ := w.State.Participant(seller); p.Standing != ledger.Active || p.Reason != "paid" {
		t.Errorf("%+v", p)
	}
}

// TestASuspensionEndsInARecovery: who has the paper may end what a centre has suspended.
// Counters of the recovery key are its own, so a thief of the key cannot use them up.
func TestASuspensionEndsInARecovery(t *testing.T) {
	w := newWorld(t, nil)
	w.recoverable(seller)
	thief, err := w.SealAs(seller, 1<<63, gate(1, open))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Advance(thief); err != nil {
		t.Fatal(err)
	}
	w.must(mc, ledgertest.Suspend(seller))
	w.must(seller, ledgertest.Recover(seller))
	if p, _ := w.State.Participant(seller); p.Standing != ledger.Revoked {
		t.Errorf("%+v", p)
	}
}

// TestARoleEndsWithItsTrades: who sells no more bills what it sold, and offers nothing.
func TestARoleEndsWithItsTrades(t *testing.T) {
	w := newWorld(t, nil)
	w.toDelivering()
	roles := func(id string, role fairwattpb.Role) record {
		return ledgertest.ChangeMember(&fairwattpb.MemberChange{Id: id, Roles: []fairwattpb.Role{role}, Site: "elsewhere"})
	}
	w.must(mc, roles(seller, fairwattpb.Role_ROLE_BUYER))
	w.must(mc, roles(buyer, fairwattpb.Role_ROLE_SELLER))
	for id, r := range map[string]record{seller: w.offer(1, 1), buyer: w.request(1, 1)} {
		if _, err := w.State.CheckRecord(w.sealed(id, 99, r)); code(err) != wire.CodeNotAllowed {
			t.Errorf("%s's %s: %v", id, ledger.Kind(r), err)
		}
		if p, _ := w.State.Participant(id); p.Site != "elsewhere" {
			t.Errorf("%s is at %s", id, p.Site)
		}
	}
	w.must(seller, w.bill(3000, 2000, 400_000))
	w.must(buyer, confirm(2100, 2000))
	w.status(wire.StatusSettled)
	w.must(mc, ledgertest.ChangeMember(&fairwattpb.MemberChange{Id: seller, Site: "home"}))
	if p, _ := w.State.Participant(seller); p.Seller || !p.Buyer || p.Site != "home" {
		t.Errorf("another site changes roles: %+v", p)
	}
}

// TestKeysAtRandom: over random histories of key changes, suspensions and revocations a
// record is taken exactly if the key that is good for its block has signed it, and the
// entries give the same state again.
func TestKeysAtRandom(t *testing.T) {
	members := []string{seller, "seller-2", buyer}
	type truth struct {
		key       string // name
		changedAt uint64
		standing  ledger.MemberStanding
		used      map[string]bool
	}
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t, nil)
		know := make(map[string]*truth)
		for _, id := range members {
			know[id] = &truth{key: id, used: map[string]bool{id: true}}
		}
		counter := uint64(0)
		for range rapid.IntRange(5, 25).Draw(rt, "steps") {
			if rapid.IntRange(0, 4).Draw(rt, "wait") == 0 {
				w.blocks(ledger.KeyChangeBlocks)
			}
			id := rapid.SampledFrom(members).Draw(rt, "member")
			now := know[id]
			by := id + rapid.SampledFrom([]string{"", "-2", "-3"}).Draw(rt, "key")
			next := id + rapid.SampledFrom([]string{"-2", "-3"}).Draw(rt, "next")
			counter++
			sender, key := id, by
			var r record
			switch rapid.IntRange(0, 6).Draw(rt, "what") {
			case 0, 1:
				r = gate(counter, open)
			case 2, 3:
				r = w.KeyChange(id, next)
			case 4:
				sender, key, r = mc, mc, ledgertest.Suspend(id)
			case 5:
				sender, key, r = mc, mc, ledgertest.Reinstate(id)
			case 6:
				sender, key, r = mc, mc, ledgertest.Revoke(id)
			}
			sealed, err := seal.Seal(ledgertest.Key(key), sender, seal.DomainRecord, w.State.ChainID(), canonicalOf(t, w.stamped(sender, counter, r)))
			if err != nil {
				rt.Fatal(err)
			}
			height := w.State.Height() + 1
			taken := sender == mc || now.standing == ledger.Active && key == now.key
			if _, err := w.State.CheckRecord(sealed); (err == nil) != taken {
				rt.Fatalf("%s of %s by the key of %s, which is %+v: %v", ledger.Kind(r), id, key, *now, err)
			}
			if !taken {
				continue
			}
			st, err := w.Advance(sealed)
			if err != nil {
				rt.Fatal(err)
			}
			was, applies := now.standing, true
			switch ledger.Kind(r) {
			case "key_change":
				applies = !now.used[next] && (now.changedAt == 0 || height >= now.changedAt+ledger.KeyChangeBlocks)
				if applies {
					now.key, now.changedAt, now.used[next] = next, height, true
				}
			case "suspend":
				if applies = was == ledger.Active; applies {
					now.standing = ledger.Suspended
				}
			case "reinstate":
				if applies = was == ledger.Suspended; applies {
					now.standing = ledger.Active
				}
			case "revoke":
				if applies = was != ledger.Revoked; applies {
					now.standing = ledger.Revoked
				}
			}
			if o := st.Outcomes()[0]; o.Applied != applies {
				rt.Fatalf("%s of %s, which is %+v: %v", ledger.Kind(r), id, *now, o)
			}
		}
		again, err := ledger.Restore(w.Genesis, w.State.Height(), w.State.HeaderHash(), w.State.Entries())
		if err != nil || again.Root() != w.State.Root() {
			rt.Fatalf("restored: %v", err)
		}
	})
}
