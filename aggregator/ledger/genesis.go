package ledger

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"fairwatt/aggregator/wct"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/members"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// GenesisVersion is the version of the genesis this package reads and writes.
const GenesisVersion = 1

// Limits of a genesis.
const (
	MaxGenesisBytes = 8 << 20
	MaxDAs          = 200
	MaxMembers      = 10_000
)

// A Genesis says where a chain starts: who takes part, with which keys, and by
// which parameters. Its canonical bytes ([Genesis.Marshal]) have the chain's id
// as SHA-256; every signature of the chain is bound to it.
type Genesis struct {
	Version   int    `json:"version"`
	Name      string `json:"name"`       // of the chain, for people: 1-64 of A-Z a-z 0-9 space . _ -
	CreatedMs int64  `json:"created_ms"` // Unix ms; every block is later
	Params    Params `json:"params"`

	// Aggregators in the order of N in the paper (an index in the tree is an
	// index here).
	Aggregators []DA `json:"aggregators"`
	// OverheadUs[i][j] is w(i,j), the communication overhead from aggregator
	// i to j in microseconds; 0 on the diagonal.
	OverheadUs [][]int64 `json:"overhead_us"`

	// Centres are the management centres: who may register, deposit and
	// answer requests.
	Centres []Centre `json:"centres"`
	// Members are the participants registered from the start.
	Members []Member `json:"members"`
	// Meters are the members' meters that are registered from the start, with
	// settlement by meters.
	Meters []Meter `json:"meters,omitempty"`
	// Arbiters decide cases, two of them together, with robust credit.
	Arbiters []Arbiter `json:"arbiters,omitempty"`

	// Money is how money comes in and goes out under two keys; nil for a chain that
	// credits deposits at once and lets none out.
	Money *Money `json:"money,omitempty"`

	// What ParseGenesis worked out once; nil in a genesis made by hand.
	parsed *parsedGenesis
}

type parsedGenesis struct {
	chainID [32]byte
	keys    map[string]ed25519.PublicKey
}

// A DA is a data aggregator, as the genesis names it.
type DA struct {
	ID        string         `json:"id"`
	PublicKey seal.PublicKey `json:"public_key"`
	Address   string         `json:"address"`  // host:port of its links to other aggregators
	Links     int            `json:"links"`    // l_i, the maximum linking number
	TrustE4   int64          `json:"trust_e4"` // t_i in 1e-4
}

// A Centre is a management centre (MC).
type Centre struct {
	ID        string         `json:"id"`
	PublicKey seal.PublicKey `json:"public_key"`
}

// An Arbiter decides what no meter shows. It takes no part in trades.
type Arbiter struct {
	ID        string         `json:"id"`
	PublicKey seal.PublicKey `json:"public_key"`
}

// A Member is a seller or buyer registered by the genesis itself.
type Member struct {
	ID           string         `json:"id"`
	Site         string         `json:"site"`
	Roles        []string       `json:"roles"` // "seller", "buyer": in this order, no repeats
	PublicKey    seal.PublicKey `json:"public_key"`
	Simulated    bool           `json:"simulated"`
	MeterClassE4 uint32         `json:"meter_class_e4"` // accuracy class in 1e-4 (100 = class 1)
}

// A Meter is an energy meter registered by the genesis itself.
type Meter struct {
	ID        string         `json:"id"`
	Owner     string         `json:"owner"`
	Direction string         `json:"direction"` // "import", "export" or "both"
	PublicKey seal.PublicKey `json:"public_key,omitempty"`
	Serial    string         `json:"serial"`
	RatedW    int64          `json:"rated_w"`
	ClassE4   uint32         `json:"class_e4"`
	StartWh   int64          `json:"start_wh"`
}

// ParseGenesis reads the canonical bytes of a genesis, with or without one
// newline behind them, and refuses everything else: unknown, repeated or
// reordered fields, other spacing, and values outside their limits, which it
// names. The genesis it returns must not be changed: it remembers its chain id.
func ParseGenesis(b []byte) (*Genesis, error) {
	if len(b) > MaxGenesisBytes {
		return nil, fmt.Errorf("parse genesis: %d bytes, at most %d", len(b), MaxGenesisBytes)
	}
	b = bytes.TrimSuffix(b, []byte("\n"))
	decoder := json.NewDecoder(bytes.NewReader(b))
	decoder.DisallowUnknownFields()
	g := &Genesis{}
	if err := decoder.Decode(g); err != nil {
		return nil, fmt.Errorf("parse genesis: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("parse genesis: more behind the JSON object")
	}
	if err := g.Validate(); err != nil {
		return nil, fmt.Errorf("parse genesis: %w", err)
	}
	canonical, err := g.Marshal()
	if err != nil {
		return nil, fmt.Errorf("parse genesis: %w", err)
	}
	if !bytes.Equal(canonical, b) {
		return nil, fmt.Errorf("parse genesis: not in canonical form (byte %d differs)", firstDifference(canonical, b))
	}
	keys, err := g.Keys()
	if err != nil {
		return nil, fmt.Errorf("parse genesis: %w", err)
	}
	g.parsed = &parsedGenesis{sha256.Sum256(canonical), keys}
	return g, nil
}

// Marshal returns the canonical bytes: one line of JSON, every field present
// in the order of the struct, no spaces, no newline at the end.
func (g *Genesis) Marshal() ([]byte, error) {
	if err := g.Validate(); err != nil {
		return nil, err
	}
	b, err := json.Marshal(g)
	if err != nil {
		return nil, fmt.Errorf("marshal genesis: %w", err)
	}
	return b, nil
}

// ChainID returns the SHA-256 of the canonical bytes. It panics when the
// genesis is not valid: one from [ParseGenesis] is, and one made by hand must
// pass [Genesis.Validate] first.
func (g *Genesis) ChainID() [32]byte {
	if g.parsed != nil {
		return g.parsed.chainID
	}
	b, err := g.Marshal()
	if err != nil {
		panic("ledger: chain id of an invalid genesis: " + err.Error())
	}
	return sha256.Sum256(b)
}

// DAs returns the data aggregators in genesis order.
func (g *Genesis) DAs() []DA { return append([]DA(nil), g.Aggregators...) }

// Quorum returns how many votes make a block final: ceil((n+f+1)/2) of n data
// aggregators, of which f = (n-1)/3 may be Byzantine. Two quorums share at
// least one honest aggregator.
func (g *Genesis) Quorum() int { return wire.Quorum(len(g.Aggregators)) }

// Faulty returns f, the greatest number of Byzantine data aggregators the chain
// tolerates.
func (g *Genesis) Faulty() int { return wire.Faulty(len(g.Aggregators)) }

// FirstMembers returns the data aggregators that vote until the members change.
func (g *Genesis) FirstMembers() (*members.Set, error) {
	keys, err := g.Keys()
	if err != nil {
		return nil, err
	}
	return members.New(g.ChainID(), keys), nil
}

// Keys returns the public keys of the data aggregators by id; the map must not
// be changed.
func (g *Genesis) Keys() (map[string]ed25519.PublicKey, error) {
	if g.parsed != nil {
		return g.parsed.keys, nil
	}
	keys := make(map[string]ed25519.PublicKey, len(g.Aggregators))
	for _, da := range g.Aggregators {
		key, err := seal.ParseKey(string(da.PublicKey))
		if err != nil {
			return nil, fmt.Errorf("aggregator %q: %w", da.ID, err)
		}
		keys[da.ID] = key
	}
	return keys, nil
}

// network is what trees over these data aggregators are built from, in the order of
// the genesis. It has no ids: ties go to whom the genesis names first.
func (g *Genesis) network() *wct.Input {
	in := &wct.Input{
		N: len(g.Aggregators), TrustWeight: g.Params.WeightTrust, LinkWeight: g.Params.WeightLinks,
		TrustThresholdE4: g.Params.TThreE4, OverheadThresholdUs: g.Params.WThreUs,
	}
	for i, da := range g.Aggregators {
		in.TrustE4 = append(in.TrustE4, da.TrustE4)
		in.Links = append(in.Links, da.Links)
		in.OverheadUs = append(in.OverheadUs, slices.Clone(g.OverheadUs[i]))
	}
	return in
}

// Validate checks every field and names the one that is wrong.
func (g *Genesis) Validate() error {
	if g.Version != GenesisVersion {
		return fmt.Errorf("version: %d, want %d", g.Version, GenesisVersion)
	}
	if !validTitle(g.Name) {
		return errors.New("name: 1 to 64 of letters, digits, space, '.', '_' and '-'")
	}
	if g.CreatedMs < 0 || g.CreatedMs > MaxTimeMs {
		return fmt.Errorf("created_ms: %d, want 0 to %d", g.CreatedMs, int64(MaxTimeMs))
	}
	if err := g.Params.Validate(); err != nil {
		return fmt.Errorf("params: %w", err)
	}
	seen := make(map[string]bool)
	if err := g.validateAggregators(seen); err != nil {
		return err
	}
	if len(g.Centres) < 1 || len(g.Centres) > 16 {
		return fmt.Errorf("centres: %d of them, want 1 to 16", len(g.Centres))
	}
	for i, c := range g.Centres {
		if err := validateIdentity(seen, c.ID, c.PublicKey); err != nil {
			return fmt.Errorf("centres[%d]: %w", i, err)
		}
	}
	if len(g.Members) > MaxMembers {
		return fmt.Errorf("members: %d of them, at most %d", len(g.Members), MaxMembers)
	}
	for i, m := range g.Members {
		if err := validateIdentity(seen, m.ID, m.PublicKey); err != nil {
			return fmt.Errorf("members[%d]: %w", i, err)
		}
		if err := m.validate(); err != nil {
			return fmt.Errorf("members[%d]: %w", i, err)
		}
	}
	if err := g.validateArbiters(seen); err != nil {
		return err
	}
	if err := g.validateMoney(seen); err != nil {
		return err
	}
	return g.validateMeters()
}

func (g *Genesis) validateArbiters(seen map[string]bool) error {
	switch n := len(g.Arbiters); {
	case n > 0 && !g.Params.robust():
		return fmt.Errorf("arbiters: %d of them, want none with credit %q", n, g.Params.Credit)
	case n == 1 || n > 16:
		return fmt.Errorf("arbiters: %d of them, want none or 2 to 16: two decide together", n)
	}
	for i, a := range g.Arbiters {
		if err := validateIdentity(seen, a.ID, a.PublicKey); err != nil {
			return fmt.Errorf("arbiters[%d]: %w", i, err)
		}
	}
	return nil
}

func (g *Genesis) validateAggregators(seen map[string]bool) error {
	n := len(g.Aggregators)
	if n < 1 || n > MaxDAs {
		return fmt.Errorf("aggregators: %d of them, want 1 to %d", n, MaxDAs)
	}
	for i, da := range g.Aggregators {
		if err := validateIdentity(seen, da.ID, da.PublicKey); err != nil {
			return fmt.Errorf("aggregators[%d]: %w", i, err)
		}
		switch {
		case !validAddress(da.Address):
			return fmt.Errorf("aggregators[%d].address: %q is not host:port in plain ASCII", i, da.Address)
		case da.Links < 0 || da.Links > MaxDAs:
			return fmt.Errorf("aggregators[%d].links: %d, want 0 to %d", i, da.Links, MaxDAs)
		case da.TrustE4 < 0 || da.TrustE4 > 10_000:
			return fmt.Errorf("aggregators[%d].trust_e4: %d, want 0 to 10000", i, da.TrustE4)
		}
	}
	if len(g.OverheadUs) != n {
		return fmt.Errorf("overhead_us: %d rows for %d aggregators", len(g.OverheadUs), n)
	}
	for i, row := range g.OverheadUs {
		if len(row) != n {
			return fmt.Errorf("overhead_us[%d]: %d columns for %d aggregators", i, len(row), n)
		}
		for j, w := range row {
			if w < 0 || w > math.MaxInt32 || i == j && w != 0 {
				return fmt.Errorf("overhead_us[%d][%d]: %d, want 0 to %d, and 0 on the diagonal", i, j, w, math.MaxInt32)
			}
		}
	}
	return nil
}

func validateIdentity(seen map[string]bool, id string, key seal.PublicKey) error {
	if !seal.ValidName(id) {
		return fmt.Errorf("id: %q is not 1 to 64 of a-z, 0-9 and '-'", id)
	}
	if seen[id] {
		return fmt.Errorf("id: %q stands twice", id)
	}
	if _, err := seal.ParseKey(string(key)); err != nil {
		return fmt.Errorf("public_key: %w", err)
	}
	if seen[string(key)] {
		return fmt.Errorf("public_key: of %q stands twice", id)
	}
	seen[id], seen[string(key)] = true, true
	return nil
}

func (m Member) validate() error {
	if !seal.ValidName(m.Site) {
		return fmt.Errorf("site: %q is not 1 to 64 of a-z, 0-9 and '-'", m.Site)
	}
	roles, err := parseRoles(m.Roles)
	if err != nil {
		return err
	}
	if err := validateRoles(roles); err != nil {
		return err
	}
	if m.MeterClassE4 > MaxMeterClassE4 {
		return fmt.Errorf("meter_class_e4: %d, at most %d", m.MeterClassE4, MaxMeterClassE4)
	}
	return nil
}

func parseRoles(names []string) ([]fairwattpb.Role, error) {
	roles := make([]fairwattpb.Role, 0, len(names))
	for _, name := range names {
		switch name {
		case "seller":
			roles = append(roles, fairwattpb.Role_ROLE_SELLER)
		case "buyer":
			roles = append(roles, fairwattpb.Role_ROLE_BUYER)
		default:
			return nil, fmt.Errorf("roles: %q is not \"seller\" or \"buyer\"", name)
		}
	}
	return roles, nil
}

// validateRoles accepts what a member may be: seller, buyer or both, ascending.
func validateRoles(roles []fairwattpb.Role) error {
	if len(roles) == 0 {
		return errors.New("roles: none")
	}
	last := fairwattpb.Role_ROLE_UNSPECIFIED
	for _, r := range roles {
		if r != fairwattpb.Role_ROLE_SELLER && r != fairwattpb.Role_ROLE_BUYER {
			return fmt.Errorf("roles: %v cannot be registered", r)
		}
		if r <= last {
			return errors.New("roles: not ascending, or repeated")
		}
		last = r
	}
	return nil
}

// validTitle keeps free text to bytes that JSON writes as they are, so that
// the canonical form has no choice of escapes.
func validTitle(s string) bool {
	if len(s) == 0 || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && c != ' ' && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

func validAddress(s string) bool {
	if len(s) == 0 || len(s) > 255 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && c != '.' && c != '-' && c != '_' && c != ':' && c != '[' && c != ']' && c != '%' {
			return false
		}
	}
	return true
}

func firstDifference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}
