package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// A listed package is what `go list` says of one.
type listed struct {
	ImportPath   string
	Doc          string
	Module       *struct{ Path string }
	GoFiles      []string
	Imports      []string
	TestImports  []string
	XTestImports []string

	path string // from the module's folder
}

// list asks go for the packages of the module in dir, as they are with a build
// tag; the tag may be empty.
func list(ctx context.Context, dir, tag string) ([]*listed, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-tags="+tag, "-json=ImportPath,Doc,Module,GoFiles,Imports,TestImports,XTestImports", "./...")
	cmd.Dir, cmd.Env = dir, environment()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, stderr.String())
	}
	var packages []*listed
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		p := &listed{}
		if err := decoder.Decode(p); errors.Is(err, io.EOF) {
			return packages, nil
		} else if err != nil {
			return nil, fmt.Errorf("decode go list: %w", err)
		}
		p.path = inHouse(p.Module.Path, p.ImportPath)
		packages = append(packages, p)
	}
}

func environment() []string { return append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off") }

// inHouse is an import's path from the module's folder, or "" for a foreign one.
func inHouse(module, path string) string {
	short, ok := strings.CutPrefix(path, module+"/")
	if !ok {
		return ""
	}
	return short
}

// imports checks floors, sides and what is for tests.
func (h *house) imports(packages []*listed) []string {
	var bad []string
	for _, p := range packages {
		from, ok := h.rooms[p.path]
		if !ok {
			bad = append(bad, fmt.Sprintf("%s stands on no floor: add it to house.go", p.path))
			continue
		}
		if len(p.GoFiles) > 0 && p.Doc == "" && !from.plain {
			bad = append(bad, p.path+" has no package comment")
		}
		for _, to := range h.own(p, p.Imports) {
			if why := h.wrong(from, h.rooms[to]); why != "" && h.across[exception{p.path, to}] == "" {
				bad = append(bad, fmt.Sprintf("%s imports %s: %s", p.path, to, why))
			}
		}
		for _, to := range p.Imports {
			if door := h.door(to); door != "" && !below(p.path, door) {
				bad = append(bad, fmt.Sprintf("%s imports %s: %s is the only door to it", p.path, to, door))
			}
		}
		for _, to := range h.own(p, append(slices.Clone(p.TestImports), p.XTestImports...)) {
			if crosses(from, h.rooms[to]) {
				bad = append(bad, fmt.Sprintf("a test of %s imports %s: one side knows nothing of the other", p.path, to))
			}
		}
	}
	return bad
}

// own is the imports of this house that stand on a floor, each once.
func (h *house) own(p *listed, imports []string) []string {
	var list []string
	for _, path := range imports {
		to := inHouse(p.Module.Path, path)
		if _, ok := h.rooms[to]; ok && to != p.path && !slices.Contains(list, to) {
			list = append(list, to)
		}
	}
	return list
}

// door is the package through which a foreign one is reached, or "" for any.
func (h *house) door(path string) string {
	for behind, door := range h.doors {
		if below(path, behind) {
			return door
		}
	}
	return ""
}

// below says whether a path is the folder or lies in it.
func below(path, folder string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }

func crosses(from, to room) bool {
	return from.side != middle && to.side != middle && from.side != to.side
}

// wrong says why a program's package may not import another, or "".
func (h *house) wrong(from, to room) string {
	switch {
	case to.floor > from.floor:
		return "that runs up"
	case crosses(from, to):
		return "one side knows nothing of the other"
	case from.side == middle && to.side != middle && from.floor < both:
		return "the middle knows neither side"
	case to.tests && !from.tests:
		return "that is for tests only"
	case from.pure && !to.pure && !to.plain:
		return "a pure package may import pure ones only"
	}
	return ""
}
