package ledger

import (
	"cmp"
	"slices"
	"strings"
)

// A line is an offer that can be sold, in the order in which an answer names it.
type line struct {
	priceMicroPerKWh int64
	creditE6         int64
	offer, seller    string
}

func (l line) compare(m line) int {
	return cmp.Or(cmp.Compare(l.priceMicroPerKWh, m.priceMicroPerKWh), cmp.Compare(m.creditE6, l.creditE6),
		strings.Compare(l.offer, m.offer), strings.Compare(l.seller, m.seller))
}

// A book is the standing offers that can be sold, so that an answer looks at as many as it
// names and not at all that stand. It follows from the state and is no part of it.
//
// An offer is left out for what is so until an entry of its seller changes: a gate that
// is not OPEN, a sale that runs, a bond that bears no lot. Else many cheap offers that
// no one can have would be looked at for each answer. What is so for a time or for one
// buyer stays in and is passed over: an offer that has run out and waits for its sweep, the
// buyer's own, and those that are kept for others, each of which has an escrow behind it.
type book struct {
	lines  []line
	period int64 // of credit, which fades with each and bears less or more then
}

// bookPeriod is the period of which a book of this block's time is.
func (x *execution) bookPeriod() int64 {
	if !x.params.robust() {
		return 0
	}
	return x.state.genesis.period(x.timeMs)
}

// lineOf is an offer's line now; ok is false of one that can not be sold.
func (x *execution) lineOf(o *Offer) (l line, ok bool) {
	a := x.lookAt(o.Seller)
	ok = mayTrade(&a) && x.isOpen(o.Seller) && !x.has(keySelling+o.Seller) &&
		x.params.bears(&a, o.VolumeWh, o.PriceMicroPerKWh) >= x.leastOf(o)
	return line{o.PriceMicroPerKWh, a.CreditE6, o.ID, o.Seller}, ok
}

// lineFor is the line of a seller's standing offer.
func (x *execution) lineFor(seller string) (l line, ok bool) {
	var o Offer
	if !x.get(keyOffer+seller, &o) {
		return l, false
	}
	return x.lineOf(&o)
}

// newBook reads the book from the state, as it is in a block of the execution's time.
func (x *execution) newBook() book {
	b := book{period: x.bookPeriod()}
	for key := range x.state.tree.kinds[keyOffer] {
		if l, ok := x.lineFor(strings.TrimPrefix(key, keyOffer)); ok {
			b.lines = append(b.lines, l)
		}
	}
	slices.SortFunc(b.lines, line.compare)
	return b
}

// sellerOf is whose line may be another one when an entry changes.
func sellerOf(key string) (seller string, is bool) {
	switch kind := kindOf(key); kind {
	case keyOffer, keyGate, keySelling, keyAccount:
		return key[len(kind):], true
	}
	return "", false
}

// follow returns the book after a block's changes, which the state has.
func (b book) follow(x *execution, changes []Change) book {
	if b.period != x.bookPeriod() {
		return x.newBook()
	}
	touched := make(map[string]bool)
	for _, c := range changes {
		key := string(c.Key)
		// Who offers nothing, and did not before, has no line.
		if seller, is := sellerOf(key); is && (kindOf(key) == keyOffer || x.has(keyOffer+seller)) {
			touched[seller] = true
		}
	}
	if len(touched) == 0 {
		return b
	}
	var fresh []line
	for seller := range touched {
		if l, ok := x.lineFor(seller); ok {
			fresh = append(fresh, l)
		}
	}
	slices.SortFunc(fresh, line.compare)
	out := make([]line, 0, len(b.lines)+len(fresh))
	for _, l := range b.lines {
		if touched[l.seller] {
			continue
		}
		for len(fresh) > 0 && fresh[0].compare(l) < 0 {
			out, fresh = append(out, fresh[0]), fresh[1:]
		}
		out = append(out, l)
	}
	return book{append(out, fresh...), b.period}
}

// A page is what a block has done to the book so far.
type page struct {
	begun   bool
	old     []line          // the book below, once it was looked at
	touched map[string]*own // sellers whose lines in old count no more
	late    []string        // of these, who was touched since the last look; some twice
	fresh   []line          // their lines that count
}

// own is a seller's line on a page.
type own struct {
	line
	listed bool
}

// touch notes that an entry of this block may change a seller's line.
func (x *execution) touch(key string) {
	if !x.params.byLedger() {
		return
	}
	seller, is := sellerOf(key)
	if !is {
		return
	}
	o := x.page.touched[seller]
	if o == nil {
		if x.page.touched == nil {
			x.page.touched = make(map[string]*own)
		}
		o = &own{}
		x.page.touched[seller] = o
	}
	x.page.late = append(x.page.late, seller)
}

// turnPage brings the page up to what the block has done by now.
func (x *execution) turnPage() {
	p := &x.page
	if !p.begun {
		if p.begun, p.old = true, x.state.book.lines; x.state.book.period != x.bookPeriod() {
			p.old = x.newBook().lines
		}
	}
	for _, seller := range p.late {
		o := p.touched[seller]
		if o.listed {
			at, _ := slices.BinarySearchFunc(p.fresh, o.line, line.compare)
			p.fresh = slices.Delete(p.fresh, at, at+1)
		}
		if o.line, o.listed = x.lineFor(seller); o.listed {
			at, _ := slices.BinarySearchFunc(p.fresh, o.line, line.compare)
			p.fresh = slices.Insert(p.fresh, at, o.line)
		}
	}
	p.late = p.late[:0]
}

// inOrder walks the offers that can be sold in the order in which an answer names them,
// until see says no.
func (x *execution) inOrder(see func(*Offer) bool) {
	x.turnPage()
	old, fresh := x.page.old, x.page.fresh
	for len(old) > 0 || len(fresh) > 0 {
		var l line
		if len(fresh) == 0 || len(old) > 0 && old[0].compare(fresh[0]) < 0 {
			if l, old = old[0], old[1:]; x.page.touched[l.seller] != nil {
				continue
			}
		} else {
			l, fresh = fresh[0], fresh[1:]
		}
		var o Offer
		if x.get(keyOffer+l.seller, &o) && !see(&o) {
			return
		}
	}
}
