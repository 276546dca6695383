package intake

import (
	"math"
	"time"
)

// A Bucket lets a sender burst and then holds it to a rate. Its owner's lock
// guards it.
type Bucket struct {
	at     time.Time
	tokens float64
}

// NewBucket returns a full bucket.
func NewBucket(now time.Time, burst float64) *Bucket { return &Bucket{at: now, tokens: burst} }

// Take takes one token and reports whether there was one. A clock that was set
// back brings none.
func (b *Bucket) Take(now time.Time, perS, burst float64) bool {
	return b.take(now, perS, burst, 1)
}

func (b *Bucket) take(now time.Time, perS, burst, tokens float64) bool {
	b.tokens = min(burst, b.tokens+max(0, now.Sub(b.at).Seconds())*perS)
	b.at = now
	if b.tokens < tokens {
		return false
	}
	b.tokens -= tokens
	return true
}

// until is how long it takes until there are so many tokens.
func (b *Bucket) until(perS, tokens float64) time.Duration {
	s := (tokens - b.tokens) / perS
	if !(s > 0) {
		return 0
	}
	return time.Duration(min(s, math.MaxInt32) * float64(time.Second))
}

// Full says whether no token is missing, so that a new bucket would do as well.
func (b *Bucket) Full(now time.Time, perS, burst float64) bool {
	return b.tokens+max(0, now.Sub(b.at).Seconds())*perS >= burst
}
