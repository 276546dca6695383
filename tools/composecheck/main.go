package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A file is what a compose file may say here. Keys with x- at the front are its own.
type file struct {
	Name     string             `yaml:"name"`
	Services map[string]service `yaml:"services"`
	Own      map[string]any     `yaml:",inline"`
}

type service struct {
	Image       string         `yaml:"image"`
	Build       *build         `yaml:"build"`
	User        string         `yaml:"user"`
	NetworkMode string         `yaml:"network_mode"`
	ReadOnly    bool           `yaml:"read_only"`
	CapDrop     []string       `yaml:"cap_drop"`
	SecurityOpt []string       `yaml:"security_opt"`
	Restart     string         `yaml:"restart"`
	DependsOn   []string       `yaml:"depends_on"`
	Command     []string       `yaml:"command"`
	Healthcheck *healthcheck   `yaml:"healthcheck"`
	Volumes     []string       `yaml:"volumes"`
	Ports       []string       `yaml:"ports"`
	Unknown     map[string]any `yaml:",inline"`
}

type build struct {
	Context    string         `yaml:"context"`
	Dockerfile string         `yaml:"dockerfile"`
	Target     string         `yaml:"target"`
	Unknown    map[string]any `yaml:",inline"`
}

type healthcheck struct {
	Disable bool           `yaml:"disable"`
	Test    []string       `yaml:"test"`
	Unknown map[string]any `yaml:",inline"`
}

// shared is the service whose network the others have.
const shared = "broker"

func main() {
	env := flag.String("env", "", "file of NAME=VALUE lines")
	flag.Parse()
	if err := run(os.Stdout, *env, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "composecheck:", err)
		os.Exit(1)
	}
}

func run(w io.Writer, env, path string) error {
	variables, err := readEnv(env)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	set, err := expand(string(text), variables)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	var f file
	if err := yaml.Unmarshal([]byte(set), &f); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for key := range f.Own {
		if !strings.HasPrefix(key, "x-") {
			return fmt.Errorf("%s: key %q is not known here", path, key)
		}
	}
	order, err := f.order()
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	var errs []error
	for _, name := range order {
		s := f.Services[name]
		if err := s.check(name, filepath.Dir(path)); err != nil {
			errs = append(errs, fmt.Errorf("%s: service %s: %w", path, name, err))
			continue
		}
		if _, err := fmt.Fprintf(w, "%s\t%s\t%s\n", name, s.Image, s.arguments(name, filepath.Dir(path))); err != nil {
			return err
		}
	}
	return errors.Join(errs...)
}

func readEnv(path string) (map[string]string, error) {
	out := make(map[string]string)
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // read only: nothing to lose
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), "=")
		if !ok {
			return nil, fmt.Errorf("%s: %q is no NAME=VALUE", path, lines.Text())
		}
		out[name] = value
	}
	return out, lines.Err()
}

var variable = regexp.MustCompile(`\$\{([A-Z0-9_]+)(:-[^}]*)?\}`)

// expand sets ${NAME} and ${NAME:-otherwise}.
func expand(text string, variables map[string]string) (string, error) {
	var errs []error
	out := variable.ReplaceAllStringFunc(text, func(found string) string {
		m := variable.FindStringSubmatch(found)
		value, ok := variables[m[1]]
		switch {
		case ok && value != "":
			return value
		case m[2] != "":
			return strings.TrimPrefix(m[2], ":-")
		}
		errs = append(errs, fmt.Errorf("variable %s is not set", m[1]))
		return ""
	})
	return out, errors.Join(errs...)
}

// order is that in which services start: each after those that it depends on.
func (f file) order() ([]string, error) {
	var out []string
	state := make(map[string]int) // 1: on the way, 2: done
	var visit func(name string) error
	visit = func(name string) error {
		s, ok := f.Services[name]
		switch {
		case !ok:
			return fmt.Errorf("service %q is not there", name)
		case state[name] == 1:
			return fmt.Errorf("service %q depends on itself", name)
		case state[name] == 2:
			return nil
		}
		state[name] = 1
		for _, on := range s.DependsOn {
			if err := visit(on); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		state[name] = 2
		out = append(out, name)
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(f.Services)) {
		if err := visit(name); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// check refuses what is unknown, missing or more than a service may have.
func (s service) check(name, dir string) error {
	unknown := slices.Collect(maps.Keys(s.Unknown))
	if s.Build != nil {
		unknown = slices.AppendSeq(unknown, maps.Keys(s.Build.Unknown))
	}
	if s.Healthcheck != nil {
		unknown = slices.AppendSeq(unknown, maps.Keys(s.Healthcheck.Unknown))
	}
	user, _, _ := strings.Cut(s.User, ":")
	switch {
	case len(unknown) > 0:
		return fmt.Errorf("keys %q are not known here", unknown)
	case s.Image == "" || len(s.Command) == 0:
		return errors.New("image or command is missing")
	case user == "" || user == "0" || user == "root":
		return fmt.Errorf("user %q: it runs as root", s.User)
	case s.Healthcheck != nil && !s.Healthcheck.Disable && (len(s.Healthcheck.Test) < 2 || s.Healthcheck.Test[0] != "CMD"):
		return fmt.Errorf("healthcheck %q: not CMD and a program", s.Healthcheck.Test)
	case !s.ReadOnly:
		return errors.New("read_only is missing")
	case !slices.Equal(s.CapDrop, []string{"ALL"}):
		return fmt.Errorf("cap_drop %q, not ALL", s.CapDrop)
	case !slices.Equal(s.SecurityOpt, []string{"no-new-privileges:true"}):
		return fmt.Errorf("security_opt %q, not no-new-privileges:true", s.SecurityOpt)
	case name == shared && s.NetworkMode != "", name != shared && s.NetworkMode != "service:"+shared:
		return fmt.Errorf("network_mode %q, not that of %s", s.NetworkMode, shared)
	}
	for _, p := range s.Ports {
		if name != shared || !strings.HasPrefix(p, "127.0.0.1:") {
			return fmt.Errorf("port %q: only %s has ports, and on loopback", p, shared)
		}
	}
	paths := []string{}
	if s.Build != nil {
		paths = append(paths, s.Build.Context, filepath.Join(s.Build.Context, s.Build.Dockerfile))
		text, err := os.ReadFile(filepath.Join(dir, s.Build.Context, s.Build.Dockerfile))
		if err != nil {
			return err
		}
		if !strings.Contains(string(text), " AS "+s.Build.Target+"\n") {
			return fmt.Errorf("%s has no target %q", s.Build.Dockerfile, s.Build.Target)
		}
	}
	for _, v := range s.Volumes {
		from, to, _ := strings.Cut(v, ":")
		paths = append(paths, from)
		// What a command names in a folder that is mounted is there before it starts.
		inside, mode, _ := strings.Cut(to, ":")
		if mode != "" && mode != "ro" {
			return fmt.Errorf("volume %q: mode %q", v, mode)
		}
		for _, word := range s.Command {
			if rest, ok := strings.CutPrefix(word, inside+"/"); ok {
				paths = append(paths, filepath.Join(from, rest))
			}
		}
	}
	for _, p := range paths {
		if _, err := os.Stat(filepath.Join(dir, p)); err != nil {
			return err
		}
	}
	return nil
}

// arguments are those of podman run, quoted.
func (s service) arguments(name, dir string) string {
	out := []string{"--name", name, "--user", s.User, "--read-only", "--restart", s.Restart}
	for _, c := range s.CapDrop {
		out = append(out, "--cap-drop", c)
	}
	for _, o := range s.SecurityOpt {
		out = append(out, "--security-opt", strings.TrimSuffix(o, ":true"))
	}
	for _, v := range s.Volumes {
		from, rest, _ := strings.Cut(v, ":")
		out = append(out, "--volume", filepath.Join(dir, from)+":"+rest)
	}
	if h := s.Healthcheck; h != nil && h.Disable {
		out = append(out, "--no-healthcheck")
	} else if h != nil && len(h.Test) > 1 {
		// As a list it runs without a shell; the images have none.
		out = append(out, "--health-cmd", `["`+strings.Join(h.Test[1:], `","`)+`"]`)
	}
	out = append(out, s.Image)
	out = append(out, s.Command...)
	for i, word := range out {
		out[i] = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	return strings.Join(out, " ")
}
