package main

import (
	"os/exec"
	"strings"
	"testing"
	"time"
)

// dpkg orders versions as the tags were made.
func TestVersionsRise(t *testing.T) {
	at := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	var versions []string
	for _, c := range []struct{ tag, want string }{
		{"", "0~20260504030201.gabc"},
		{"v0.9.0", "0.9.0"},
		{"v0.9.0-4-gabc", "0.9.0+4.gabc"},
		{"v1.0.0-rc1", "1.0.0~rc1"},
		{"v1.0.0", "1.0.0"},
		{"v1.0.0-dirty", "1.0.0+dirty"},
		{"v1.0.1", "1.0.1"},
	} {
		got, err := debianVersion(c.tag, at, "abc")
		if err != nil || got != c.want {
			t.Errorf("%q: %q, %v; want %q", c.tag, got, err, c.want)
		}
		versions = append(versions, got)
	}
	for _, bad := range []string{"nightly", "v1.x", "1.2.3;rm"} {
		if v, err := debianVersion(bad, at, "abc"); err == nil {
			t.Errorf("%q became %q", bad, v)
		}
	}
	if _, err := exec.LookPath("dpkg"); err != nil {
		t.Skip("dpkg is not installed: the order of the versions is not tried")
	}
	for i := 1; i < len(versions); i++ {
		if err := exec.Command("dpkg", "--compare-versions", versions[i-1], "lt", versions[i]).Run(); err != nil {
			t.Errorf("%s is not before %s: %v", versions[i-1], versions[i], err)
		}
	}
}

const helpText = `Runs the thing.

It runs.
.It starts with a point \ and -x.

Usage:
  agent run --config FILE [flags]

Examples:
  agent run --config x

Flags:
      --config string   file

Use "agent run [command] --help" for more information about a command.
`

func TestManual(t *testing.T) {
	page, err := manual([]string{"agent", "run"}, "Run the agent", helpText, []string{"now"}, "v1", time.Unix(0, 0).UTC())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`.TH AGENT-RUN 1 1970-01-01 "fairwatt v1" fairwatt`, `agent-run \- Run the agent`, "Runs the thing.\n.PP\nIt runs.\n", ".SH SYNOPSIS\n.nf\nagent run \\-\\-config FILE [flags]\n",
		`\&.It starts with a point \e and \-x.`, ".SH EXAMPLES\n", ".SH FLAGS\n", `.BR agent (1)`, `.BR agent\-run\-now (1)`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
	if strings.Contains(page, "for more information") {
		t.Error("the page points to --help")
	}
	if _, err := manual([]string{"x"}, "", "nothing", nil, "v1", time.Unix(0, 0)); err == nil {
		t.Error("a text without usage became a page")
	}
}
