package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

// licence names the files of a module that say under what it may be given on.
var licence = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|copyright|patents)([.-].*)?$`)

// writeLicences writes the licences of Go and of every module that a program links.
func writeLicences(path, to string, env []string, at time.Time) error {
	list := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}\t{{.Version}}\t{{.Dir}}{{end}}{{end}}", path)
	list.Env = append(os.Environ(), append([]string{"CGO_ENABLED=0", "GOOS=linux"}, env...)...)
	out, err := output(list)
	if err != nil {
		return err
	}
	modules := strings.Split(strings.TrimSpace(out), "\n")
	slices.Sort(modules)
	modules = slices.DeleteFunc(slices.Compact(modules), func(m string) bool { return m == "" })
	root, err := output(exec.Command("go", "env", "GOROOT"))
	if err != nil {
		return err
	}
	modules = append([]string{"The Go standard library\t" + runtime.Version() + "\t" + strings.TrimSpace(root)}, modules...)
	var text strings.Builder
	text.WriteString("What this program links beside its own code, each under its own licence.\n")
	for _, m := range modules {
		field := strings.Split(m, "\t")
		if len(field) != 3 {
			return fmt.Errorf("module %q: want path, version and folder", m)
		}
		entries, err := os.ReadDir(field[2])
		if err != nil {
			return fmt.Errorf("licences of %s: %w", field[0], err)
		}
		found := false
		for _, e := range entries {
			if e.IsDir() || !licence.MatchString(e.Name()) {
				continue
			}
			b, err := os.ReadFile(filepath.Join(field[2], e.Name()))
			if err != nil {
				return fmt.Errorf("licences of %s: %w", field[0], err)
			}
			found = true
			fmt.Fprintf(&text, "\n%s\n%s %s: %s\n\n%s\n", strings.Repeat("=", 72), field[0], field[1], e.Name(), strings.TrimRight(string(b), "\n"))
		}
		if !found {
			return fmt.Errorf("%s %s has no file with a licence: it may not be given on", field[0], field[1])
		}
	}
	return writeGzip(to, []byte(text.String()), at)
}
