package seal_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"

	"fairwatt/proto/seal"
)

func Example() {
	seed := sha256.Sum256([]byte("a key for this example only"))
	key := ed25519.NewKeyFromSeed(seed[:])
	chain := sha256.Sum256([]byte("the canonical genesis"))

	sealed, err := seal.Seal(key, "turbine-1", seal.DomainRecord, chain, []byte("a record"))
	if err != nil {
		panic(err)
	}
	keys := func(signer string) (ed25519.PublicKey, bool) {
		return key.Public().(ed25519.PublicKey), signer == "turbine-1"
	}
	signer, payload, err := seal.Open(sealed, seal.DomainRecord, chain, keys)
	fmt.Println(signer, string(payload), err)

	_, _, err = seal.Open(sealed, seal.DomainAttestation, chain, keys)
	fmt.Println(err)
	// Output:
	// turbine-1 a record <nil>
	// seal: invalid signature of "turbine-1" in domain "attestation"
}

func ExampleWindow() {
	var w seal.Window
	for _, counter := range []uint64{1, 2, 2, 5, 4, 1} {
		fmt.Print(counter, w.Accept(counter), " ")
	}
	// Output: 1 true 2 true 2 false 5 true 4 true 1 false
}
