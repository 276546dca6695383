package ledger

// The rules of this file hold with verdict_clears: a verdict gives whom it clears its
// credit back too, and not its money alone.

// A loss is what a trade took of one side's credit, as long as a verdict may give it
// back.
type loss struct {
	BadWh  int64 // weighted, as it was added
	Period int64 // in which it was
	Listed bool  // it put its side on the list
	// ExcusedWh was used up of the side's quota without a witness, in the span of time
	// that ExcusedIn numbers ([earned]).
	ExcusedWh, ExcusedIn int64
	// Was is the listing whose place that of this trade took; without an id: none.
	Was Listing
}

func (l *loss) fields(c codec) {
	c.i64("bad_wh", &l.BadWh)
	c.i64("period", &l.Period)
	c.flag("listed", &l.Listed)
	c.i64("excused_wh", &l.ExcusedWh)
	c.i64("excused_in", &l.ExcusedIn)
	c.tail(func() bool { return l.Was != Listing{} }, func() { l.Was.fields(c) })
}

func lossKey(id, trade string) string { return keyLoss + id + "/" + trade }

// notes changes what is known of a side's loss by a trade. What a verdict itself takes no
// verdict gives back.
func (x *execution) notes(id string, t *Trade, change func(*loss)) {
	if !x.params.VerdictClears || t.Judged {
		return
	}
	var l loss
	key := lossKey(id, t.ID)
	x.get(key, &l)
	change(&l)
	x.put(key, &l)
}

// clearName takes back what a trade did to the credit of a side that a verdict clears: as
// much of it as is not forgotten yet, the broken promise, the listing, and what it used up
// of the quota of excuses.
func (x *execution) clearName(id string, t *Trade, why string) {
	var l loss
	key := lossKey(id, t.ID)
	if !x.get(key, &l) {
		return
	}
	x.remove(key)
	x.unexcuse(id, &l)
	if l.Period == 0 {
		return // excused as a whole
	}
	a := x.faded(id)
	left := Account{BadWh: l.BadWh, Period: l.Period}
	x.params.fade(&left, a.Period)
	// An account's sum is rounded down once in each period, so it is never less than its
	// parts, but where it had reached its bound.
	back := min(left.BadWh, a.BadWh)
	a.BadWh -= back
	a.Broken--
	a.CreditE6 = x.params.CreditOf(a.GoodWh, a.BadWh)
	if l.Listed {
		a.Listings--
	}
	x.put(keyAccount+id, &a)
	x.step(Step{Who: id, Kind: StepRestored, Trade: t.ID, BadWh: -back, CreditE6: a.CreditE6, Text: why})
	if l.Listed {
		x.delist(id, t, &l, why)
	}
}

// unexcuse gives back what a shortfall used up of a seller's quota, if that counts still.
func (x *execution) unexcuse(seller string, l *loss) {
	e := x.earnedBy(seller)
	switch e.Period - l.ExcusedIn {
	case 0:
		e.ExcusedWh -= l.ExcusedWh
	case 1:
		e.ExcusedOldWh -= l.ExcusedWh
	default:
		return
	}
	x.put(keyEarned+seller, &e)
}

// delist takes a listing back that a cleared trade made. One whose place it took goes on,
// if it lasts still; and one that took its place stays, as the earlier one that it is now.
func (x *execution) delist(id string, t *Trade, l *loss, why string) {
	a, _ := x.account(id)
	var now Listing
	if !x.get(keyListed+id, &now) {
		return // its time was over
	}
	x.remove(deadlineKey(a.ListedUntilMs, dueListing, id))
	if now.Trade == t.ID {
		now = l.Was
	} else {
		x.unlink(id, t.ID, now.Trade, l)
	}
	if now.ID != "" {
		now.UntilMs = now.SinceMs + x.params.listMs(a.Listings-1) // it has one fewer before it
	}
	a.Blacklisted, a.ListedUntilMs = now.UntilMs > x.timeMs, now.UntilMs
	x.put(keyAccount+id, &a)
	x.meta.ListVersion++
	if !a.Blacklisted {
		x.remove(keyListed + id)
		x.step(Step{Who: id, Kind: StepBack, Trade: t.ID, CreditE6: a.CreditE6, Text: why})
		return
	}
	x.putBytes(deadlineKey(now.UntilMs, dueListing, id), nil)
	x.put(keyListed+id, &now)
	x.step(Step{Who: id, Kind: StepListed, Trade: now.Trade, CreditE6: a.CreditE6, UntilMs: now.UntilMs, Text: now.Reason})
}

// unlink takes a cleared trade's listing out of those that later ones took the place of,
// from the newest on.
func (x *execution) unlink(id, cleared, newest string, l *loss) {
	for trade := newest; trade != ""; {
		var later loss
		if !x.get(lossKey(id, trade), &later) {
			return
		}
		if later.Was.Trade == cleared {
			later.Was = l.Was
			x.put(lossKey(id, trade), &later)
			return
		}
		trade = later.Was.Trade
	}
}
