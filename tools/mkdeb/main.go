package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/deb"
)

// programs are what is packed, and where they are built from.
var programs = []struct{ name, path string }{
	{"agent", "./agent/cmd/agent"},
	{"aggregator", "./aggregator/cmd/aggregator"},
}

// A board is what Go calls one of Debian's architectures.
type board struct {
	env   []string
	flags []string // for the linker, so that the agent is as small as may be
}

var boards = map[string]board{
	"armhf": {[]string{"GOARCH=arm", "GOARM=6"}, []string{"-R", "4096"}},
	"arm64": {[]string{"GOARCH=arm64"}, nil},
	"amd64": {[]string{"GOARCH=amd64"}, nil},
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "mkdeb:", err)
		os.Exit(1)
	}
}

func run() error {
	archs := flag.String("arch", "armhf,arm64,amd64", "Debian architectures")
	tag := flag.String("version", "", "tag, such as v1.2.3; empty: from the newest commit's date")
	out := flag.String("out", "build/deb", "folder for the packages")
	flag.Parse()
	at, revision, err := head()
	if err != nil {
		return err
	}
	version, err := debianVersion(*tag, at, revision)
	if err != nil {
		return err
	}
	stamp := *tag
	if stamp == "" {
		stamp = "v" + strings.ReplaceAll(version, "~", "-")
	}
	for _, arch := range strings.Split(*archs, ",") {
		if _, ok := boards[arch]; !ok {
			return fmt.Errorf("--arch %q: armhf, arm64 or amd64", arch)
		}
	}
	slim := exec.Command("tools/slim.sh")
	slim.Stderr = os.Stderr
	if err := slim.Run(); err != nil {
		return fmt.Errorf("tools/slim.sh: %w", err)
	}
	for _, p := range programs {
		pages := filepath.Join(*out, "pages", p.name)
		if err := writePages(p.name, p.path, stamp, pages, at); err != nil {
			return err
		}
		for _, arch := range strings.Split(*archs, ",") {
			if err := pack(p.name, p.path, arch, version, stamp, *out, pages, at); err != nil {
				return fmt.Errorf("%s for %s: %w", p.name, arch, err)
			}
		}
	}
	return nil
}

// head returns the time and the id of the newest commit.
func head() (time.Time, string, error) {
	out, err := output(exec.Command("git", "log", "-1", "--format=%ct %h", "--abbrev=12"))
	if err != nil {
		return time.Time{}, "", err
	}
	seconds, revision, _ := strings.Cut(strings.TrimSpace(out), " ")
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return time.Time{}, "", fmt.Errorf("time of the newest commit %q: %w", seconds, err)
	}
	return time.Unix(n, 0).UTC(), revision, nil
}

// debianVersion makes a version that dpkg orders as the tags were made: v1.2.3 is
// 1.2.3, four commits later it is 1.2.3+4.gabc, and what has no tag yet is before all.
func debianVersion(tag string, at time.Time, revision string) (string, error) {
	if tag == "" {
		return "0~" + at.Format("20060102150405") + ".g" + revision, nil
	}
	v, dirty := strings.CutSuffix(strings.TrimPrefix(tag, "v"), "-dirty")
	number, rest, more := strings.Cut(v, "-")
	for part := range strings.SplitSeq(number, ".") {
		if _, err := strconv.ParseUint(part, 10, 32); err != nil {
			return "", fmt.Errorf("--version %q: use v1.2.3, or what git describe makes of it", tag)
		}
	}
	if more {
		first, _, _ := strings.Cut(rest, "-")
		if _, err := strconv.Atoi(first); err == nil {
			number += "+" + strings.ReplaceAll(rest, "-", ".") // commits after the tag
		} else {
			number += "~" + strings.ReplaceAll(rest, "-", ".") // v1.2.3-rc1 comes before v1.2.3
		}
	}
	if dirty {
		number += "+dirty"
	}
	return number, nil
}

// build builds one program, stripped.
func build(path, stamp, to string, b board) error {
	flags := append([]string{"-s", "-w", "-X", "main.version=" + stamp}, b.flags...)
	cmd := exec.Command("go", "build", "-trimpath", "-gcflags=all=-l", "-modfile=build/slim.mod", "-ldflags="+strings.Join(flags, " "), "-o", to, path)
	cmd.Env = append(os.Environ(), append([]string{"CGO_ENABLED=0", "GOOS=linux"}, b.env...)...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build %s: %w", path, err)
	}
	return nil
}

func pack(name, path, arch, version, stamp, out, pages string, at time.Time) (err error) {
	tree := filepath.Join(out, arch)
	if err := os.MkdirAll(tree, 0o755); err != nil {
		return err
	}
	if err := build(path, stamp, filepath.Join(tree, name), boards[arch]); err != nil {
		return err
	}
	if err := writeLicences(path, filepath.Join(tree, name+".licences.gz"), boards[arch].env, at); err != nil {
		return err
	}
	settings := map[string]string{"VERSION": version, "ARCH": arch, "BINARY": filepath.Join(tree, name), "PAGES": pages, "LICENCES": filepath.Join(tree, name+".licences.gz")}
	var unknown []error
	b, err := os.ReadFile("configs/deb/fairwatt-" + name + ".yaml")
	if err != nil {
		return err
	}
	text := os.Expand(string(b), func(key string) string {
		if settings[key] == "" {
			unknown = append(unknown, fmt.Errorf("configs/deb: ${%s} means nothing", key))
		}
		return settings[key]
	})
	if err := errors.Join(unknown...); err != nil {
		return err
	}
	config, err := nfpm.Parse(strings.NewReader(text))
	if err != nil {
		return err
	}
	info, err := config.Get("deb")
	if err != nil {
		return err
	}
	info.MTime = at
	info = nfpm.WithDefaults(info)
	if err := nfpm.PrepareForPackager(info, "deb"); err != nil {
		return err
	}
	file := filepath.Join(out, deb.Default.ConventionalFileName(info))
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	if err = errors.Join(deb.Default.Package(info, f), f.Close()); err != nil {
		return errors.Join(err, os.Remove(file))
	}
	stat, err := os.Stat(file)
	if err == nil {
		fmt.Printf("mkdeb: %-52s %6.2f MB\n", file, float64(stat.Size())/1e6)
	}
	return err
}

// output runs a command and returns what it prints.
func output(cmd *exec.Cmd) (string, error) {
	var errOut strings.Builder
	cmd.Stderr = &errOut
	b, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, errOut.String())
	}
	return string(b), nil
}

// native is the board that this machine can run.
func native() (board, error) {
	for _, b := range boards {
		if slices.Contains(b.env, "GOARCH="+runtime.GOARCH) {
			return b, nil
		}
	}
	return board{}, fmt.Errorf("%s: the manual pages come from a program that runs here: use amd64, arm64 or arm", runtime.GOARCH)
}
