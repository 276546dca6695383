package mc

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"fairwatt/aggregator/ledger"
	"fairwatt/proto/seal"
)

// Names of the files InitDir writes. The authority's stand in the folder
// itself; each holder has its own folder, to be moved to its machine.
const (
	CACertFile  = "ca.crt"
	CAKeyFile   = "ca.key"
	GenesisFile = "genesis.json"
	SealKeyFile = "seal.key" // signs records, receipts and votes
	TLSKeyFile  = "tls.key"  // proves the holder on links
	TLSCertFile = "tls.crt"
)

// A DASpec says what the genesis tells of one data aggregator.
type DASpec struct {
	ID      string
	Address string // host:port of its links to other aggregators
	Links   int    // maximum linking number l_i
	TrustE4 int64  // first trust value t_i, in 1e-4
}

// Options say what community to start.
type Options struct {
	Name string
	DAs  []DASpec
	// Centre is the id of the management centre.
	Centre string
	// BrokerHosts are the names and addresses under which the MQTT broker is
	// reached; they go into its certificate.
	BrokerHosts []string
	// Broker is BrokerMosquitto (empty is the same) or BrokerNATS, which takes three
	// BrokerHosts, or none for a trial on one machine.
	Broker string
	// StateDir is where the machines keep what their programs write, each in a folder
	// of its id; empty: next to the configuration, for a trial.
	StateDir string
	// Members are registered from the start; others by records later.
	Members []ledger.Member
	// Arbiters decide cases; none, or two and more.
	Arbiters []ledger.Arbiter
	// Money has money come and go under two keys; nil: deposits count at once, and none
	// leaves.
	Money *ledger.Money
	// Params are the chain's numbers; nil means ledger.DefaultParams.
	Params *ledger.Params
	// OverheadUs is w(i,j) between the aggregators in microseconds; nil means
	// DefaultOverheadUs between each two.
	OverheadUs [][]int64
	// Now is the time of creation; every block is later.
	Now time.Time
}

// Defaults for a community that no one has measured yet.
const (
	DefaultOverheadUs = 2000
	DefaultTrustE4    = 8500 // above the trust threshold, or the first tree would be degenerate (R5)
)

// DefaultDAs returns n aggregators da-1..da-n at host, ports rising from port.
// The first has two links, the others one, so that a tree of four has a
// forwarder; from five on every fifth has three.
func DefaultDAs(n int, host string, port int) []DASpec {
	das := make([]DASpec, n)
	for i := range das {
		links := 1
		switch {
		case i == 0 && n < 5:
			links = 2
		case n >= 5 && i%5 == 0:
			links = 3
		}
		das[i] = DASpec{
			ID: fmt.Sprintf("da-%d", i+1), Address: net.JoinHostPort(host, fmt.Sprint(port+i)),
			Links: links, TrustE4: DefaultTrustE4,
		}
	}
	return das
}

// An Identity is all a holder needs: a key to sign with and a certificate to
// connect with.
type Identity struct {
	ID   string
	Role Role
	Key  ed25519.PrivateKey
	TLS  tls.Certificate
}

// A Community is a genesis with everything that belongs to it, in memory.
type Community struct {
	Authority *Authority
	Genesis   *ledger.Genesis
	DAs       []Identity
	Centre    Identity
	Broker    tls.Certificate
}

// NewCommunity makes the authority, all keys and the genesis of a community in
// memory; InitDir writes one to a folder.
func NewCommunity(o Options) (*Community, error) {
	if len(o.DAs) == 0 {
		return nil, errors.New("a community needs at least one data aggregator")
	}
	if o.Broker == BrokerNATS && len(o.BrokerHosts) != 0 && len(o.BrokerHosts) != NATSServers {
		return nil, fmt.Errorf("%d hosts of the broker: name %d, one for each NATS server, or none for a trial on one machine", len(o.BrokerHosts), NATSServers)
	}
	if o.Centre == "" {
		o.Centre = "mc-1"
	}
	authority, err := NewAuthority("fairwatt "+o.Name, o.Now)
	if err != nil {
		return nil, err
	}
	c := &Community{Authority: authority}
	params := ledger.DefaultParams()
	if o.Params != nil {
		params = *o.Params
	}
	g := &ledger.Genesis{
		Version: ledger.GenesisVersion, Name: o.Name, CreatedMs: o.Now.UnixMilli(), Params: params,
		OverheadUs: o.OverheadUs, Members: o.Members, Arbiters: o.Arbiters, Money: o.Money, Aggregators: []ledger.DA{}, Centres: []ledger.Centre{},
	}
	if g.Members == nil {
		g.Members = []ledger.Member{}
	}
	if g.OverheadUs == nil {
		g.OverheadUs = uniformOverhead(len(o.DAs))
	}
	for _, d := range o.DAs {
		host, _, err := net.SplitHostPort(d.Address)
		if err != nil {
			return nil, fmt.Errorf("address of %s: %w", d.ID, err)
		}
		who, err := c.identity(d.ID, RoleDA, []string{host}, o.Now)
		if err != nil {
			return nil, err
		}
		c.DAs = append(c.DAs, who)
		g.Aggregators = append(g.Aggregators, ledger.DA{
			ID: d.ID, PublicKey: publicKey(who.Key), Address: d.Address,
			Links: d.Links, TrustE4: d.TrustE4,
		})
	}
	if c.Centre, err = c.identity(o.Centre, RoleMC, nil, o.Now); err != nil {
		return nil, err
	}
	g.Centres = append(g.Centres, ledger.Centre{ID: o.Centre, PublicKey: publicKey(c.Centre.Key)})
	if c.Broker, err = authority.IssueTLS("broker", RoleBroker, append(localNames(), o.BrokerHosts...), o.Now); err != nil {
		return nil, err
	}
	if err := g.Validate(); err != nil {
		return nil, fmt.Errorf("genesis: %w", err)
	}
	c.Genesis = g
	return c, nil
}

// localNames are those of a server on its own machine.
func localNames() []string { return []string{"localhost", "127.0.0.1", "::1"} }

func (c *Community) identity(id string, role Role, hosts []string, now time.Time) (Identity, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Identity{}, fmt.Errorf("make the key of %s: %w", id, err)
	}
	cert, err := c.Authority.IssueTLS(id, role, hosts, now)
	if err != nil {
		return Identity{}, err
	}
	return Identity{ID: id, Role: role, Key: key, TLS: cert}, nil
}

func publicKey(key ed25519.PrivateKey) seal.PublicKey {
	return seal.FormatKey(key.Public().(ed25519.PublicKey))
}

func uniformOverhead(n int) [][]int64 {
	w := make([][]int64, n)
	for i := range w {
		w[i] = make([]int64, n)
		for j := range w[i] {
			if i != j {
				w[i][j] = DefaultOverheadUs
			}
		}
	}
	return w
}

// InitDir makes a community and writes it to a new or empty folder: every key
// in a file of mode 0600, and a configuration for each program. It returns the
// genesis. Nothing that exists is overwritten.
func InitDir(dir string, o Options) (*ledger.Genesis, error) {
	c, err := NewCommunity(o)
	if err != nil {
		return nil, err
	}
	genesis, err := c.Genesis.Marshal()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	// The genesis first: it exists exactly when the folder is taken.
	if err := writeNew(filepath.Join(dir, GenesisFile), append(genesis, '\n'), 0o644); err != nil {
		return nil, err
	}
	if err := WriteKey(filepath.Join(dir, CAKeyFile), c.Authority.key); err != nil {
		return nil, err
	}
	if err := WriteCertificate(filepath.Join(dir, CACertFile), c.Authority.cert); err != nil {
		return nil, err
	}
	for _, who := range append(append([]Identity{}, c.DAs...), c.Centre) {
		if err := writeIdentity(filepath.Join(dir, who.ID), who); err != nil {
			return nil, err
		}
	}
	if o.Broker != BrokerNATS { // whose servers have a certificate each
		if err := writeIdentity(filepath.Join(dir, brokerFolder), Identity{TLS: c.Broker}); err != nil {
			return nil, err
		}
	}
	return c.Genesis, writeConfigs(dir, c, o)
}

// writeIdentity writes keys and certificates into their own folder.
func writeIdentity(dir string, who Identity) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	if who.Key != nil {
		if err := WriteKey(filepath.Join(dir, SealKeyFile), who.Key); err != nil {
			return err
		}
	}
	key, ok := who.TLS.PrivateKey.(crypto.Signer)
	if !ok {
		return fmt.Errorf("TLS key of %s is a %T", who.ID, who.TLS.PrivateKey)
	}
	if err := WriteKey(filepath.Join(dir, TLSKeyFile), key); err != nil {
		return err
	}
	return WriteCertificate(filepath.Join(dir, TLSCertFile), who.TLS.Leaf)
}

// IssueDir makes a TLS key and certificate and writes them, with the
// authority's certificate, to a folder. The key that signs records is not made
// here: an agent makes its own and it never leaves the device.
func IssueDir(a *Authority, dir, id string, role Role, hosts []string, now time.Time) error {
	cert, err := a.IssueTLS(id, role, hosts, now)
	if err != nil {
		return err
	}
	if err := writeIdentity(dir, Identity{ID: id, Role: role, TLS: cert}); err != nil {
		return err
	}
	return WriteCertificate(filepath.Join(dir, CACertFile), a.cert)
}

// ReadGenesis reads and checks a genesis file.
func ReadGenesis(path string) (*ledger.Genesis, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read genesis: %w", err)
	}
	if info.Size() > ledger.MaxGenesisBytes {
		return nil, fmt.Errorf("read genesis: %s has %d bytes, at most %d", path, info.Size(), ledger.MaxGenesisBytes)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read genesis: %w", err)
	}
	return ledger.ParseGenesis(b)
}
