package main

import (
	"bytes"
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Limits of size, in lines.
const (
	longestFile     = 600
	longestFunction = 80
)

// onOneMachine is a path that no other machine has.
var onOneMachine = regexp.MustCompile(`(?:^|[^a-z.])/(?:home|root|Users)/[a-z]`)

// files asks git for the files of the tree.
func files(ctx context.Context, dir string) ([]string, error) {
	cmd := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("git ls-files: %w", err)
	}
	var list []string
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Mode().IsRegular() {
			list = append(list, name)
		}
	}
	return list, nil
}

// tree checks names, sizes and contents of the files.
func (h *house) tree(dir string, files []string) ([]string, error) {
	var bad []string
	for _, name := range files {
		top, _, _ := strings.Cut(name, "/")
		if !slices.ContainsFunc(h.topLevel, func(pattern string) bool { ok, _ := path.Match(pattern, top); return ok }) {
			bad = append(bad, name+" is not in the fixed top level")
		}
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, fmt.Errorf("read file: %w", err)
		}
		if path.Base(name) != "go.sum" && !bytes.ContainsRune(text[:min(len(text), 8000)], 0) {
			for i, line := range strings.Split(string(text), "\n") {
				if found := onOneMachine.FindString(line); found != "" {
					bad = append(bad, fmt.Sprintf("%s:%d: a path of one machine: %s", name, i+1, strings.TrimSpace(found)))
				}
			}
		}
		if strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, ".pb.go") && !strings.HasSuffix(name, "_test.go") &&
			!strings.Contains(name, "testdata/") {
			long, err := tooLong(name, text)
			if err != nil {
				return nil, err
			}
			bad = append(bad, long...)
		}
	}
	return bad, nil
}

// tooLong checks the lengths of a Go file and of its functions.
func tooLong(name string, text []byte) ([]string, error) {
	var bad []string
	if lines := bytes.Count(text, []byte("\n")); lines > longestFile {
		bad = append(bad, fmt.Sprintf("%s has %d lines, more than %d", name, lines, longestFile))
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, text, parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("parse: %w", err)
	}
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if lines := set.Position(f.End()).Line - set.Position(f.Pos()).Line + 1; lines > longestFunction {
			bad = append(bad, fmt.Sprintf("%s:%d: %s has %d lines, more than %d", name, set.Position(f.Pos()).Line, f.Name.Name, lines, longestFunction))
		}
	}
	return bad, nil
}
