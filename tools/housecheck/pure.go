package main

import (
	"context"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/go/packages"
)

// impure packages reach the world or draw at random. A name covers what is below it.
var impure = []string{"os", "net", "syscall", "math/rand", "crypto/rand", "log", "runtime", "unsafe", "plugin", "io/ioutil"}

// clocks are the names of package time that read a clock, a timer or the zone of
// this machine.
var clocks = []string{
	"Now", "Since", "Until", "After", "AfterFunc", "Sleep", "NewTimer", "NewTicker", "Tick", "Local", "LoadLocation",
}

// A finding is an impure thing, and the name under which an exception allows it.
type finding struct {
	pos  token.Position
	uses string
	text string
}

// purity checks the sources of the pure packages that are there.
func (h *house) purity(ctx context.Context, dir string, listed []*listed) ([]string, error) {
	var patterns []string
	for _, p := range listed {
		if h.rooms[p.path].pure {
			patterns = append(patterns, p.ImportPath)
		}
	}
	if len(patterns) == 0 {
		return nil, nil
	}
	config := &packages.Config{Context: ctx, Mode: packages.LoadSyntax | packages.NeedModule, Dir: dir, Env: environment()}
	loaded, err := packages.Load(config, patterns...)
	if err != nil {
		return nil, fmt.Errorf("load pure packages: %w", err)
	}
	var bad []string
	used := make(map[exception]bool)
	there := make(map[string]bool)
	for _, p := range loaded {
		if len(p.Errors) > 0 {
			return nil, fmt.Errorf("load %s: %w", p.PkgPath, p.Errors[0])
		}
		path := inHouse(p.Module.Path, p.PkgPath)
		there[path] = true
		for _, f := range impurities(p) {
			key := exception{path, f.uses}
			if h.allowed[key] != "" {
				used[key] = true
				continue
			}
			bad = append(bad, fmt.Sprintf("%s:%d: %s is pure, but %s", relative(dir, f.pos.Filename), f.pos.Line, path, f.text))
		}
	}
	for key := range h.allowed {
		if there[key.pkg] && !used[key] {
			bad = append(bad, fmt.Sprintf("%s no longer uses %s: take the exception out of house.go", key.pkg, key.uses))
		}
	}
	return bad, nil
}

func impurities(p *packages.Package) []finding {
	var list []finding
	add := func(pos token.Pos, uses, text string) {
		list = append(list, finding{p.Fset.Position(pos), uses, text})
	}
	for _, file := range p.Syntax {
		for _, spec := range file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err == nil && isImpure(path) {
				add(spec.Pos(), path, "imports "+path)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				add(n.Pos(), "go", "starts a goroutine")
			case *ast.Ident:
				if o := p.TypesInfo.Uses[n]; o != nil && o.Pkg() != nil && o.Pkg().Path() == "time" && isClock(o) {
					add(n.Pos(), "time."+n.Name, "uses time."+n.Name)
				}
			}
			return true
		})
	}
	for _, name := range p.Types.Scope().Names() {
		if v, ok := p.Types.Scope().Lookup(name).(*types.Var); ok && holdsLock(p.Types, v.Type(), nil) {
			add(v.Pos(), "sync", "its variable "+name+" holds a lock or an atomic value")
		}
	}
	return list
}

func isImpure(path string) bool {
	return slices.ContainsFunc(impure, func(name string) bool { return path == name || strings.HasPrefix(path, name+"/") })
}

// isClock reports the package's functions and variables, and the method Local.
func isClock(o types.Object) bool {
	if f, ok := o.(*types.Func); ok && f.Signature().Recv() != nil {
		return f.Name() == "Local"
	}
	return slices.Contains(clocks, o.Name())
}

// holdsLock reports a type of sync or sync/atomic, or one of the package's own that
// holds such a type. What a foreign type holds (a strings.Replacer) is its secret.
func holdsLock(home *types.Package, t types.Type, seen []types.Type) bool {
	if slices.Contains(seen, t) {
		return false
	}
	seen = append(seen, t)
	if named, ok := types.Unalias(t).(*types.Named); ok && named.Obj().Pkg() != home {
		if named.Obj().Pkg() == nil {
			return false
		}
		path := named.Obj().Pkg().Path()
		return path == "sync" || path == "sync/atomic"
	}
	var parts []types.Type
	switch u := t.Underlying().(type) {
	case *types.Struct:
		for field := range u.Fields() {
			parts = append(parts, field.Type())
		}
	case interface{ Elem() types.Type }: // pointers, arrays, slices, maps
		parts = append(parts, u.Elem())
	}
	return slices.ContainsFunc(parts, func(part types.Type) bool { return holdsLock(home, part, seen) })
}
