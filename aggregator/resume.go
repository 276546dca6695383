package aggregator

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"fairwatt/aggregator/consensus"
)

// A Statement is a DA's word that it takes part again above a block.
type Statement struct {
	// Text is the statement, for the other DAs' operators.
	Text []byte
	// Signers are those whose statements this DA now has, its own included, of
	// Need that are needed.
	Signers []string
	Need    int
}

// Resume makes this DA's statement that it takes part again above the block of a
// height, and keeps it with those of others for the next start: see
// [consensus.Resumption]. It is for a DA that is not run. From then on it votes
// in this epoch only when it has the statements of a quorum.
func (d *DA) Resume(height, round uint64, others ...[]byte) (Statement, error) {
	fail := func(err error) (Statement, error) { return Statement{}, fmt.Errorf("resume: %w", err) }
	r, err := consensus.Resuming(d.agreement, height, round)
	if err != nil {
		return fail(err)
	}
	line, err := consensus.SignResumption(d.agreement, r)
	if err != nil {
		return fail(err)
	}
	out := Statement{Need: d.state.Members().Quorum()}
	out.Text = fmt.Appendf(nil, "# %s takes part again: %s\n%s\n", d.cfg.ID, r, line)
	chain, keys := d.agreement.ChainID, d.state.Members().Keys()
	kept, err := consensus.KeptResumption(d.agreement)
	if err != nil {
		return fail(err)
	}
	if before, _, err := consensus.ReadResumption(kept, chain, keys); err != nil || before != r {
		kept = nil // of another block, or round; this one takes its place
	}
	all := bytes.Join(slices.Concat([][]byte{out.Text}, others), []byte("\n"))
	if _, _, err := consensus.ReadResumption(all, chain, keys); err != nil {
		return fail(err)
	}
	all = bytes.Join([][]byte{all, kept}, []byte("\n"))
	if _, out.Signers, err = consensus.ReadResumption(all, chain, keys); err != nil {
		return fail(err)
	}
	if len(all) > maxStatements {
		return fail(errors.New("more statements than there can be"))
	}
	if err := consensus.KeepResumption(d.agreement, all); err != nil {
		return fail(err)
	}
	return out, nil
}

// maxStatements bounds what is kept, in bytes.
const maxStatements = 1 << 20
