package ledger

import (
	"cmp"
	"slices"
	"strings"
)

// A line is an offer in the order of price.
type line struct {
	priceMicroPerKWh int64
	seller           string
}

func (l line) compare(m line) int {
	return cmp.Or(cmp.Compare(l.priceMicroPerKWh, m.priceMicroPerKWh), strings.Compare(l.seller, m.seller))
}

// A book is the standing offers of a state in the order of price, so that an answer looks
// at as many as it needs and not at all of them. It follows from the state and is no part
// of it.
type book []line

func newBook(entries map[string]*item) (book, error) {
	b := make(book, 0, len(entries))
	for _, it := range entries {
		var o Offer
		if err := decodeValue(it.value, &o); err != nil {
			return nil, err
		}
		b = append(b, line{o.PriceMicroPerKWh, o.Seller})
	}
	slices.SortFunc(b, line.compare)
	return b, nil
}

// follow returns the book after a block's changes.
func (b book) follow(changes []Change) (book, error) {
	touched := make(map[string]bool)
	var fresh book
	for _, c := range changes {
		seller, is := strings.CutPrefix(string(c.Key), keyOffer)
		if !is {
			continue
		}
		touched[seller] = true
		if c.Delete {
			continue
		}
		var o Offer
		if err := decodeValue(c.Value, &o); err != nil {
			return nil, err
		}
		fresh = append(fresh, line{o.PriceMicroPerKWh, o.Seller})
	}
	if len(touched) == 0 {
		return b, nil
	}
	slices.SortFunc(fresh, line.compare)
	out := make(book, 0, len(b)+len(fresh))
	for _, l := range b {
		if touched[l.seller] {
			continue
		}
		for len(fresh) > 0 && fresh[0].compare(l) < 0 {
			out, fresh = append(out, fresh[0]), fresh[1:]
		}
		out = append(out, l)
	}
	return append(out, fresh...), nil
}

// lists notes an offer of this block among those that the state has.
func (x *execution) lists(o *Offer) {
	l := line{o.PriceMicroPerKWh, o.Seller}
	if at, found := slices.BinarySearchFunc(x.fresh, l, line.compare); !found {
		x.fresh = slices.Insert(x.fresh, at, l)
	}
}

// byPrice walks the standing offers in the order of price and seller, those of this block
// among them, until see says no.
func (x *execution) byPrice(see func(*Offer) bool) {
	old, fresh, last := x.state.book, x.fresh, line{}
	for len(old) > 0 || len(fresh) > 0 {
		var l line
		if len(fresh) == 0 || len(old) > 0 && old[0].compare(fresh[0]) <= 0 {
			l, old = old[0], old[1:]
		} else {
			l, fresh = fresh[0], fresh[1:]
		}
		// A line may be of an offer that is gone, or has another price now.
		var o Offer
		if l == last || !x.get(keyOffer+l.seller, &o) || o.PriceMicroPerKWh != l.priceMicroPerKWh {
			continue
		}
		if last = l; !see(&o) {
			return
		}
	}
}
