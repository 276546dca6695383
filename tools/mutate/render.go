package main

import (
	"bytes"
	"context"
	"fmt"
	"go/ast"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/go/packages"
)

// prefix begins every name that the tool adds to a package.
const prefix = "fwMutate"

// switchFile is the file with the switches, added to the package.
const switchFile = "zz_fairwatt_mutate.go"

// Environment of the switched binary.
const (
	envMutant = "FAIRWATT_MUTANT"       // number of the mutant that is on
	envTrace  = "FAIRWATT_MUTANT_TRACE" // file that gets the numbers of the switches asked
)

func number(id int) string { return strconv.Itoa(id) }

func on(id int) string { return prefix + "On(" + number(id) + ")" }

// A schema is a package with all its mutants behind switches.
type schema struct {
	pkg     *packages.Package
	dir     string
	short   string
	mutants []*mutant
	untried int
	files   map[string][]byte // by path: what stands there instead
}

// switched finds the mutants of a package and writes its switched form. Mutants
// that do not compile are left out, one round of the type checker after another.
func switched(ctx context.Context, moduleDir, pkg string) (*schema, error) {
	p, sources, err := loadSources(ctx, moduleDir, pkg)
	if err != nil {
		return nil, err
	}
	if len(sources) == 0 {
		return nil, fmt.Errorf("%s: no sources", pkg)
	}
	skip := make(map[string]bool)
	for range 50 {
		s, places := render(p, sources, skip)
		checked, err := load(ctx, moduleDir, pkg, s.files)
		if err != nil {
			return nil, err
		}
		if len(checked.Errors) == 0 {
			for _, m := range s.mutants {
				if rel, err := filepath.Rel(p.Module.Dir, m.File); err == nil {
					m.File = filepath.ToSlash(rel)
				}
			}
			return s, nil
		}
		for _, e := range checked.Errors {
			atFault := s.blame(e, sources, places)
			if len(atFault) == 0 {
				return nil, fmt.Errorf("%s: the switched form does not compile: %w", pkg, e)
			}
			for _, m := range atFault {
				skip[m.key()] = true
			}
		}
	}
	return nil, fmt.Errorf("%s: the switched form does not compile after 50 rounds", pkg)
}

// render writes the switched files; places says for each file where the old
// text stands in the new one.
func render(p *packages.Package, sources []source, skip map[string]bool) (*schema, [][]edit) {
	s := &schema{pkg: p, dir: packageDir(sources), short: shortName(p), files: make(map[string][]byte)}
	places, again := make([][]edit, len(sources)), make(map[string]int)
	for i, src := range sources {
		f := &finder{
			info: p.TypesInfo, fset: p.Fset, src: src, index: i, pkg: s.short, skip: skip,
			mutants: &s.mutants, untried: &s.untried, again: again,
			close: make(map[ast.Node][]edit), role: make(map[ast.Node]clause), listed: make(map[ast.Stmt]bool), room: make(map[ast.Expr]bool),
		}
		f.file()
		if len(f.edits) == 0 {
			continue
		}
		slices.SortStableFunc(f.edits, func(a, b edit) int {
			if a.at != b.at {
				return a.at - b.at
			}
			return a.rank - b.rank
		})
		s.files[src.path] = apply(src.text, f.edits)
		places[i] = f.edits
	}
	s.files[filepath.Join(s.dir, switchFile)] = switches(p.Name, len(s.mutants))
	return s, places
}

func apply(text []byte, edits []edit) []byte {
	var out bytes.Buffer
	at := 0
	for _, e := range edits {
		out.Write(text[at:e.at])
		out.WriteString(e.text)
		at = e.end
	}
	out.Write(text[at:])
	return out.Bytes()
}

// blame finds the mutants at fault for a type error: those that begin on its line.
func (s *schema) blame(e packages.Error, sources []source, places [][]edit) []*mutant {
	parts := strings.Split(e.Pos, ":")
	if len(parts) < 3 {
		return nil
	}
	line, err1 := strconv.Atoi(parts[len(parts)-2])
	column, err2 := strconv.Atoi(parts[len(parts)-1])
	if err1 != nil || err2 != nil {
		return nil
	}
	path := strings.Join(parts[:len(parts)-2], ":")
	var list []*mutant
	for i, src := range sources {
		if src.path != path {
			continue
		}
		at := original(places[i], offsetOf(s.files[path], line, column))
		line := 1 + bytes.Count(src.text[:at], []byte("\n"))
		for _, m := range s.mutants {
			if m.source == i && m.Line == line {
				list = append(list, m)
			}
		}
	}
	return list
}

func offsetOf(text []byte, line, column int) int {
	at := 0
	for ; line > 1; line-- {
		next := bytes.IndexByte(text[at:], '\n')
		if next < 0 {
			break
		}
		at += next + 1
	}
	return at + column - 1
}

// original is the place in the old text of an offset in the new one.
func original(edits []edit, offset int) int {
	moved := 0 // how much longer the new text is so far
	for _, e := range edits {
		start := e.at + moved
		if offset < start {
			break
		}
		if offset < start+len(e.text) {
			return e.at
		}
		moved += len(e.text) - (e.end - e.at)
	}
	return offset - moved
}

// switches is the added file: the switch and the helpers that hold both forms of
// an operator.
func switches(name string, mutants int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, switchHead, name, envMutant, envTrace, mutants+1)
	for _, op := range []struct{ name, kind, result, was, is string }{
		{"Lss", "Ordered", "bool", "<", "<="}, {"Leq", "Ordered", "bool", "<=", "<"},
		{"Gtr", "Ordered", "bool", ">", ">="}, {"Geq", "Ordered", "bool", ">=", ">"},
		{"Add", "Number", "T", "+", "-"}, {"Sub", "Number", "T", "-", "+"},
		{"Mul", "Number", "T", "*", "/"}, {"Quo", "Number", "T", "/", "*"}, {"Rem", "Integer", "T", "%", "*"},
	} {
		fmt.Fprintf(&b, "\nfunc %[1]s%[2]s[T %[1]s%[3]s](id int, a, b T) %[4]s {\n\tif %[1]sOn(id) {\n\t\treturn a %[6]s b\n\t}\n\treturn a %[5]s b\n}\n",
			prefix, op.name, op.kind, op.result, op.was, op.is)
	}
	return b.Bytes()
}

const switchHead = `package %[1]s

import (
	fwMutateOS "os"
	fwMutateConv "strconv"
	fwMutateAtomic "sync/atomic"
)

var (
	fwMutateActive, _ = fwMutateConv.Atoi(fwMutateOS.Getenv(%[2]q))
	fwMutateTrace     = fwMutateOpen(fwMutateOS.Getenv(%[3]q))
	fwMutateSeen      [%[4]d]fwMutateAtomic.Bool
)

func fwMutateOpen(path string) *fwMutateOS.File {
	if path == "" {
		return nil
	}
	file, err := fwMutateOS.OpenFile(path, fwMutateOS.O_WRONLY|fwMutateOS.O_APPEND|fwMutateOS.O_CREATE, 0o600)
	if err != nil {
		panic(err)
	}
	return file
}

func fwMutateOn(id int) bool {
	if fwMutateTrace != nil {
		fwMutateNote(id)
	}
	return id == fwMutateActive
}

func fwMutateNote(id int) {
	if fwMutateSeen[id].CompareAndSwap(false, true) {
		if _, err := fwMutateTrace.WriteString(fwMutateConv.Itoa(id) + "\n"); err != nil {
			panic(err)
		}
	}
}

type fwMutateInteger interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr
}

type fwMutateNumber interface {
	fwMutateInteger | ~float32 | ~float64
}

type fwMutateOrdered interface {
	fwMutateNumber | ~string
}
`
