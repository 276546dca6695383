package main

import (
	"bytes"
	"crypto/ed25519"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"fairwatt/aggregator/mc"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// TestStandingUsage: what keeps someone out says what it needs, and where.
func TestStandingUsage(t *testing.T) {
	run := func(cmd *cobra.Command, args ...string) error {
		cmd.SetOut(new(bytes.Buffer))
		cmd.SetErr(new(bytes.Buffer))
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetArgs(args)
		return cmd.Execute()
	}
	for _, c := range []struct {
		make func() *cobra.Command
		args string
		want string
	}{
		{mcRevokeCommand, "--id pv-1", "--dir, --config or both"},
		{mcRevokeCommand, "--dir x", "--id and --dir"},
		{mcRevokeCommand, "--dir x --id pv-1 --why stolen", "--why stands on the chain"},
		{mcRevokeCommand, "--dir x --id pv-1 --word w", "--word is for the chain"},
		{mcRevokeCommand, "--config x --id pv-1 --word /nowhere", "read recovery word"},
		{mcSuspendCommand, "--id pv-1", "--dir, --config or both"},
		{mcReinstateCommand, "--id pv-1", "--dir, --config or both"},
		{mcChangeCommand, "--config x --id pv-1", "one of --role, --site and --account"},
		{mcChangeCommand, "--config x --site harbour", "--id, and one of"},
		{mcChangeCommand, "--config x --id pv-1 --role owner", "--role [owner]"},
		{mcChangeCommand, "--config x --recovery f --id pv-1", "--recovery says whose word"},
		{mcChangeCommand, "--config x --recovery f --role buyer", "--recovery says whose word"},
		{mcReleaseCommand, "--config x --id pv-1 --amount 1", "either --bond or"},
		{mcReleaseCommand, "--config x --id pv-1 --amount 1 --bond --withdrawal w --account a", "either --bond or"},
		{mcReleaseCommand, "--config x --id pv-1 --amount 1 --withdrawal w", "either --bond or"},
		{mcReleaseCommand, "--config x --id pv-1 --amount many --bond", "--amount"},
		{mcRegisterCommand, "--config x --enrolment f --id pv-1 --site harbour", "--enrolment says"},
	} {
		if err := run(c.make(), strings.Fields(c.args)...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.args, err, c.want)
		}
	}

	dir := filepath.Join(t.TempDir(), "community")
	if err := run(mcInitCommand(), "--dir", dir); err != nil {
		t.Fatal(err)
	}
	list := func() string {
		b, err := os.ReadFile(filepath.Join(dir, mc.BrokerList(dir)))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	before := strings.TrimSpace(list())
	for _, do := range []func() *cobra.Command{mcSuspendCommand, mcReinstateCommand} {
		if err := run(do(), "--dir", dir, "--id", "pv-1"); err != nil {
			t.Fatal(err)
		}
		if named, want := strings.Contains(list(), "user pv-1"), strings.Contains(do().Use, "suspend"); named != want {
			t.Errorf("%s: the list names pv-1: %v", do().Use, named)
		}
	}
	if strings.TrimSpace(list()) != before {
		t.Errorf("the list was\n%s\nand is\n%s", before, list())
	}
}

// TestReadWord: a word is read from a file or the standard input.
func TestReadWord(t *testing.T) {
	word := wire.RecoveryWord([wire.RecoveryEntropyBytes]byte{1}) + "\n"
	want, err := wire.RecoveryKey(word)
	if err != nil {
		t.Fatal(err)
	}
	for file, in := range map[string]string{"-": word, writeText(t, word): "another"} {
		if got, err := readWord(strings.NewReader(in), file); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v", file, err)
		}
	}
	if _, err := readWord(strings.NewReader("no word"), "-"); err == nil {
		t.Error("no word was read as one")
	}
}

// TestReadEnrolment: a form is read for the chain of the centre's configuration alone.
func TestReadEnrolment(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "community")
	cmd := mcInitCommand()
	cmd.SetOut(new(bytes.Buffer))
	cmd.SetArgs([]string{"--dir", dir})
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	g, err := mc.ReadGenesis(filepath.Join(dir, mc.GenesisFile))
	if err != nil {
		t.Fatal(err)
	}
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	for name, chain := range map[string][32]byte{"its chain": g.ChainID(), "another": {1}} {
		e := &wire.EnrolmentForm{ID: "pv-1", Roles: []string{wire.RoleSeller}, PublicKey: seal.FormatKey(key.Public().(ed25519.PublicKey))}
		if e.Possession, err = wire.Possess(key, chain, e.ID, e.Statement()); err != nil {
			t.Fatal(err)
		}
		b, err := e.Marshal(chain)
		if err != nil {
			t.Fatal(err)
		}
		form := writeText(t, string(b))
		change := mcChangeCommand()
		change.SilenceErrors, change.SilenceUsage = true, true
		change.SetArgs([]string{"--config", filepath.Join(dir, "mc-1", "mc.yaml"), "--recovery", form})
		want := "made for another chain"
		if name == "its chain" {
			want = "the form has no recovery word"
		}
		if err := change.Execute(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
		if _, err := readEnrolment(filepath.Join(dir, "mc-1", "mc.yaml"), form); (err == nil) != (name == "its chain") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// enrolmentOf is the form by which a key's holder agrees to be a member of the community
// in dir.
func enrolmentOf(t *testing.T, dir, id string, key ed25519.PrivateKey, roles ...string) string {
	t.Helper()
	g, err := mc.ReadGenesis(filepath.Join(dir, mc.GenesisFile))
	if err != nil {
		t.Fatal(err)
	}
	e := &wire.EnrolmentForm{ID: id, Roles: roles, PublicKey: seal.FormatKey(key.Public().(ed25519.PublicKey))}
	if e.Possession, err = wire.Possess(key, g.ChainID(), id, e.Statement()); err != nil {
		t.Fatal(err)
	}
	b, err := e.Marshal(g.ChainID())
	if err != nil {
		t.Fatal(err)
	}
	return writeText(t, string(b))
}
