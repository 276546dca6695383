package mc

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"fairwatt/aggregator/ledger"
	"fairwatt/proto/brief"
	"fairwatt/proto/fairwattpb"
	"fairwatt/proto/members"
	"fairwatt/proto/seal"
)

// The files that a data aggregator makes for itself.
const (
	NextSealKeyFile = "next-seal.key"
	RequestFile     = "request.json"
)

const joinFormat = "fairwatt-join-1"

// A Join is what a data aggregator's operator sends to a centre: the public halves of
// keys, and the proof that it has the private ones. Nothing in it is secret.
type Join struct {
	Format    string         `json:"format"`
	Chain     string         `json:"chain"` // hex
	ID        string         `json:"id"`
	PublicKey seal.PublicKey `json:"public_key"`
	Proof     []byte         `json:"proof"`
	// Of one that joins; empty where only its key changes.
	Address string `json:"address,omitempty"`
	Links   int    `json:"links,omitempty"`
	CSR     []byte `json:"csr,omitempty"` // for its TLS certificate, DER
}

func newKey(path string) (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	return key, WriteKey(path, key)
}

func newJoin(g *ledger.Genesis, id, keyFile string) (*Join, error) {
	if !seal.ValidName(id) {
		return nil, fmt.Errorf("id %s: use 1 to %d of a-z, 0-9 and -", brief.Quote(id), seal.MaxNameBytes)
	}
	key, err := newKey(keyFile)
	if err != nil {
		return nil, err
	}
	chain := g.ChainID()
	proof, err := members.Prove(key, chain, id)
	if err != nil {
		return nil, err
	}
	return &Join{
		Format: joinFormat, Chain: fmt.Sprintf("%x", chain), ID: id, PublicKey: seal.FormatKey(key.Public().(ed25519.PublicKey)), Proof: proof,
	}, nil
}

// NewJoin makes the keys of a data aggregator in a folder, its configuration, and the
// request that a centre is to admit it by. Nothing that exists is overwritten.
func NewJoin(dir, id, address string, links int, genesis, ca string) (*Join, error) {
	g, err := ReadGenesis(genesis)
	if err != nil {
		return nil, err
	}
	if links < 0 || links > ledger.MaxDAs {
		return nil, fmt.Errorf("links: %d, want 0 to %d", links, ledger.MaxDAs)
	}
	if _, err := ReadAuthorities(ca); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	j, err := newJoin(g, id, filepath.Join(dir, SealKeyFile))
	if err != nil {
		return nil, err
	}
	tlsKey, err := newKey(filepath.Join(dir, "tls.key"))
	if err != nil {
		return nil, err
	}
	j.Address, j.Links = address, links
	if j.CSR, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: id}}, tlsKey); err != nil {
		return nil, fmt.Errorf("make certificate request: %w", err)
	}
	for from, to := range map[string]string{genesis: GenesisFile, ca: CACertFile} {
		b, err := os.ReadFile(from)
		if err == nil {
			err = writeNew(filepath.Join(dir, to), b, 0o644)
		}
		if err != nil {
			return nil, fmt.Errorf("copy %s: %w", to, err)
		}
	}
	if err := writeNew(filepath.Join(dir, "da.yaml"), fmt.Appendf(nil, joinConfig, id, address), 0o644); err != nil {
		return nil, err
	}
	return j, j.write(filepath.Join(dir, RequestFile))
}

const joinConfig = `# A data aggregator. Paths are relative to this file.
id: %s
genesis: genesis.json
join: true
seal_key: seal.key
data: data
tls:
  ca: ca.crt
  cert: tls.crt
  key: tls.key
# Links to the other aggregators; they dial the address of the request.
listen: %s
mqtt:
  - tls://127.0.0.1:8883
http: 127.0.0.1:8080
`

// NewRekey makes the next key of a data aggregator in a folder, and the request that a
// centre is to change it by.
func NewRekey(dir, id, genesis string) (*Join, error) {
	g, err := ReadGenesis(genesis)
	if err != nil {
		return nil, err
	}
	j, err := newJoin(g, id, filepath.Join(dir, NextSealKeyFile))
	if err != nil {
		return nil, err
	}
	return j, j.write(filepath.Join(dir, "rekey-"+RequestFile))
}

func (j *Join) write(path string) error {
	b, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	return writeNew(path, append(b, '\n'), 0o644)
}

// ReadJoin reads a request and checks its proof for the chain of a genesis.
func ReadJoin(path string, g *ledger.Genesis) (*Join, error) {
	b, err := readBounded(path, maxKeyFile)
	if err != nil {
		return nil, err
	}
	j := &Join{}
	if err := json.Unmarshal(b, j); err != nil {
		return nil, fmt.Errorf("request %s: %w", path, err)
	}
	switch chain := g.ChainID(); {
	case j.Format != joinFormat:
		return nil, fmt.Errorf("request %s: format %s, want %q", path, brief.Quote(j.Format), joinFormat)
	case j.Chain != fmt.Sprintf("%x", chain):
		return nil, fmt.Errorf("request %s: chain %s, this is chain %x: make it anew with this chain's genesis.json", path, brief.Quote(j.Chain), chain)
	case !members.Proven(j.PublicKey, chain, j.ID, j.Proof):
		return nil, fmt.Errorf("request %s: proof: the key has not signed for %s", path, brief.Quote(j.ID))
	}
	return j, nil
}

// Terms are what a centre says of a data aggregator that it admits.
type Terms struct {
	TrustE4    int64
	OverheadUs int // to and from each other one, until it is measured
}

// Admit lets a data aggregator join, and returns when the chain has the record. Where
// there are more centres, more than half of them have to do so.
func (c *Centre) Admit(ctx context.Context, j *Join, t Terms) error {
	if j.Address == "" {
		return errors.New("admit: the request names no address: it is one for another key (mc rekey)")
	}
	return c.member(ctx, "admit "+j.ID, &fairwattpb.Record{Body: &fairwattpb.Record_Admit{Admit: &fairwattpb.Admit{
		Id: j.ID, Role: fairwattpb.Role_ROLE_DA, PublicKey: string(j.PublicKey), Proof: j.Proof, Address: j.Address, Links: uint32(j.Links),
		TrustE4: t.TrustE4, OverheadUs: uint32(t.OverheadUs),
	}}})
}

// Rekey gives a data aggregator the key of its request.
func (c *Centre) Rekey(ctx context.Context, j *Join) error {
	return c.member(ctx, "rekey "+j.ID, &fairwattpb.Record{Body: &fairwattpb.Record_Rekey{Rekey: &fairwattpb.Rekey{
		Id: j.ID, PublicKey: string(j.PublicKey), Proof: j.Proof,
	}}})
}

// Retire lets a data aggregator leave when the epoch ends, or another centre at once.
func (c *Centre) Retire(ctx context.Context, id string) error {
	return c.member(ctx, "retire "+id, &fairwattpb.Record{Body: &fairwattpb.Record_Retire{Retire: &fairwattpb.Retire{Id: id}}})
}

// Move gives a data aggregator another address when the epoch ends.
func (c *Centre) Move(ctx context.Context, id, address string) error {
	return c.member(ctx, "move "+id, &fairwattpb.Record{Body: &fairwattpb.Record_Move{Move: &fairwattpb.Move{Id: id, Address: address}}})
}

func (c *Centre) member(ctx context.Context, what string, r *fairwattpb.Record) error {
	if err := c.place(ctx, r); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// SignJoin writes the TLS certificate of a request.
func (a *Authority) SignJoin(j *Join, out string, now time.Time) error {
	cert, err := a.SignRequest(j.CSR, j.ID, RoleDA, nil, now)
	if err != nil {
		return fmt.Errorf("certificate of %s: %w", j.ID, err)
	}
	return WriteCertificate(out, cert)
}
