package ledger

import (
	"crypto"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"fairwatt/proto/members"
	"fairwatt/proto/seal"
)

// A PublicList is the list of those who may not trade, as each data aggregator signs
// and publishes it (R28). Of one version there is one text, so a reader can compare
// what f+1 of them say.
type PublicList struct {
	ChainID string           `json:"chain_id"`
	Version uint64           `json:"version"` // rises with every change
	Listed  []PublicListItem `json:"listed"`  // by id
}

// A PublicListItem is one who may not trade.
type PublicListItem struct {
	ID      string `json:"id"`
	Trade   string `json:"trade"`
	Reason  string `json:"reason"`
	SinceMs int64  `json:"since_ms"`
	UntilMs int64  `json:"until_ms"`
}

// ListVersion is the version of the list; 0 before anyone was on it.
func (s *State) ListVersion() uint64 { return s.now().ListVersion }

// SealList signs the list as data aggregator da, and tells the version that it signed.
func (s *State) SealList(da string, key crypto.Signer) ([]byte, uint64, error) {
	s.mu.RLock()
	version := s.meta.ListVersion
	out := PublicList{ChainID: hex.EncodeToString(s.chain[:]), Version: version, Listed: []PublicListItem{}}
	var items []*item
	for _, it := range s.tree.kinds[keyListed] {
		items = append(items, it)
	}
	s.mu.RUnlock() // an item is never changed
	for _, l := range decodeSorted[Listing](items) {
		out.Listed = append(out.Listed, PublicListItem(l))
	}
	payload, err := json.Marshal(out)
	if err != nil {
		return nil, 0, fmt.Errorf("encode list: %w", err)
	}
	sealed, err := seal.Seal(key, da, seal.DomainList, s.chain, payload)
	if err != nil {
		return nil, 0, fmt.Errorf("sign list: %w", err)
	}
	return sealed, version, nil
}

// ErrList is what [OpenList] returns, wrapped, when too few aggregators say the same.
var ErrList = errors.New("list: not enough data aggregators say the same")

// OpenList returns the newest list that f+1 of the members have signed in the same words:
// at least one of them is honest. The members are those who vote now: the genesis' own
// ([Genesis.FirstMembers]), followed over every change ([members.Set.Follow]). What is no signed list of this chain counts for nothing.
func OpenList(voters *members.Set, sealed [][]byte) (*PublicList, error) {
	chain := voters.Chain()
	said := make(map[string]map[string]bool) // payload: who says so
	var newest *PublicList
	for _, b := range sealed {
		signer, payload, err := seal.Open(b, seal.DomainList, chain, voters.Key)
		if err != nil {
			continue
		}
		if said[string(payload)] == nil {
			said[string(payload)] = make(map[string]bool)
		}
		said[string(payload)][signer] = true
		if len(said[string(payload)]) <= voters.Faulty() {
			continue
		}
		l := &PublicList{}
		if err := json.Unmarshal(payload, l); err != nil || l.ChainID != hex.EncodeToString(chain[:]) {
			continue
		}
		if newest == nil || l.Version > newest.Version {
			newest = l
		}
	}
	if newest == nil {
		return nil, fmt.Errorf("%w: %d messages, %d are needed", ErrList, len(sealed), voters.Faulty()+1)
	}
	return newest, nil
}
