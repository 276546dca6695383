package nowcast

import (
	"crypto/ed25519"
	"slices"

	"fairwatt/model/neighbours"
)

// vouchMs is how long a data aggregator's word on a key counts: as long as a device
// may be silent between two nowcasts and still be a neighbour.
const vouchMs = 60 * 60_000

// maxVouches bounds the senders that one data aggregator's words are kept of. Its
// oldest are forgotten first, and no other's: one that makes up senders
// forgets only what it said itself.
const maxVouches = 2 * neighbours.MaxNeighbours

// A Roll is what data aggregators say whose keys are whose. It is not safe for
// concurrent use.
type Roll struct {
	need int
	said map[string][]vouch // by data aggregator, the oldest first
}

type vouch struct {
	signer string
	key    string
	atMs   int64
}

// NewRoll believes what so many data aggregators say alike.
func NewRoll(need int) *Roll { return &Roll{need: need, said: make(map[string][]vouch)} }

// Members says whose words count from now on, and how many must be alike. What others
// have said is forgotten.
func (r *Roll) Members(das map[string]ed25519.PublicKey, need int) {
	r.need = need
	for da := range r.said {
		if das[da] == nil {
			delete(r.said, da)
		}
	}
}

// Say notes the word of a data aggregator at a time. Its newest word on a signer
// counts.
func (r *Roll) Say(da, signer string, key ed25519.PublicKey, nowMs int64) {
	list := slices.DeleteFunc(r.said[da], func(v vouch) bool { return v.signer == signer })
	if len(list) >= maxVouches {
		list = slices.Delete(list, 0, len(list)-maxVouches+1)
	}
	r.said[da] = append(list, vouch{signer, string(key), nowMs})
}

// Key returns the key that enough data aggregators name for a signer, and false if
// they do not, or name two keys as often: then one is on its way to replace the
// other.
func (r *Roll) Key(signer string, nowMs int64) (ed25519.PublicKey, bool) {
	votes := make(map[string]int, 1)
	for _, list := range r.said {
		for _, v := range list {
			if v.signer == signer && nowMs-v.atMs <= vouchMs {
				votes[v.key]++
			}
		}
	}
	best, most, second := "", 0, 0
	for key, n := range votes {
		if n > most {
			best, most, second = key, n, most
		} else {
			second = max(second, n)
		}
	}
	if most < r.need || most == second {
		return nil, false
	}
	return ed25519.PublicKey(best), true
}
