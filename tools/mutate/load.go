package main

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
)

// What the package imports comes from compiled export data, not from its sources.
const loadMode = packages.LoadSyntax | packages.NeedModule

// A source is one file of the package under test.
type source struct {
	path string
	text []byte
	ast  *ast.File
}

// load parses and type-checks the package with import path pkg of the module in
// dir. Files named in overlay are read from there.
func load(ctx context.Context, dir, pkg string, overlay map[string][]byte) (*packages.Package, error) {
	config := &packages.Config{Context: ctx, Mode: loadMode, Dir: dir, Env: environment(), Overlay: overlay}
	found, err := packages.Load(config, pkg)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", pkg, err)
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("load %s: %d packages, want 1", pkg, len(found))
	}
	return found[0], nil
}

// loadSources is load for a package without errors, with its files in the order
// of their names; generated files are left out.
func loadSources(ctx context.Context, dir, pkg string) (*packages.Package, []source, error) {
	p, err := load(ctx, dir, pkg, nil)
	if err != nil {
		return nil, nil, err
	}
	var errs []error
	for _, e := range p.Errors {
		errs = append(errs, e)
	}
	if len(errs) > 0 {
		return nil, nil, fmt.Errorf("load %s: %w", pkg, errors.Join(errs...))
	}
	if p.Module == nil {
		return nil, nil, fmt.Errorf("load %s: not in a module", pkg)
	}
	var sources []source
	for _, file := range p.Syntax {
		path := p.Fset.File(file.FileStart).Name()
		if ast.IsGenerated(file) || !strings.HasSuffix(path, ".go") {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, nil, fmt.Errorf("read source: %w", err)
		}
		sources = append(sources, source{path: path, text: text, ast: file})
	}
	slices.SortFunc(sources, func(a, b source) int { return strings.Compare(a.path, b.path) })
	return p, sources, nil
}

// shortName is the import path without the module's name.
func shortName(p *packages.Package) string {
	short := strings.TrimPrefix(strings.TrimPrefix(p.PkgPath, p.Module.Path), "/")
	if short == "" {
		return p.Name
	}
	return short
}

// packageDir is the folder of the package's files.
func packageDir(sources []source) string { return filepath.Dir(sources[0].path) }

// environment is this process's with what the tests of the module expect.
func environment(more ...string) []string {
	return append(append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off"), more...)
}
