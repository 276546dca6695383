package main

import (
	"bytes"
	"go/ast"
	"go/token"
	"go/types"
	"strings"
)

// A mutant is one change.
type mutant struct {
	ID       int
	Package  string // short name
	File     string // from the module's folder
	Line     int
	Function string
	Before   string
	After    string
	Again    int // 2 for the second of the same text in the function, and so on

	at, end int // where the changed text stands, in the file's bytes
	source  int // index of the file
}

// change is the change in words that outlive moved lines.
func (m *mutant) change() string {
	return strings.Join([]string{m.Package, m.Function, m.Before, m.After}, "\x00")
}

// key names the mutant among all.
func (m *mutant) key() string { return m.change() + "\x00" + number(m.Again) }

// leftOut is the After of a removed statement.
const leftOut = "(left out)"

// An edit inserts text before offset at, or replaces what is between at and end.
type edit struct {
	at, end int
	rank    int // at one place: text that closes, then operators, then text that opens
	text    string
}

const (
	closes = iota
	operator
	opens
)

// A finder walks one file, notes mutants, and writes the edits that hold them.
type finder struct {
	info    *types.Info
	fset    *token.FileSet
	src     source
	index   int
	pkg     string
	skip    map[string]bool // mutants that do not compile, by key
	mutants *[]*mutant
	untried *int
	edits   []edit
	close   map[ast.Node][]edit
	role    map[ast.Node]clause
	listed  map[ast.Stmt]bool
	room    map[ast.Expr]bool // capacities
	again   map[string]int    // how often each text stood in a function so far
	fn      string
	top     ast.Node // the declaration outside functions that fn names
}

// clause says what leaving out an operand means.
type clause int

const (
	none   clause = iota
	ofAnd         // holds always
	ofOr          // never holds
	aGuard        // never holds
)

func (f *finder) offset(p token.Pos) int { return f.fset.Position(p).Offset }

// text is a node's source on one line.
func (f *finder) text(n ast.Node) string {
	return strings.Join(strings.Fields(string(f.raw(n))), " ")
}

func (f *finder) raw(n ast.Node) []byte { return f.src.text[f.offset(n.Pos()):f.offset(n.End())] }

// add notes a mutant and returns its number, or 0 if it must be left out.
func (f *finder) add(n ast.Node, before, after string) int {
	pos := f.fset.Position(n.Pos())
	m := &mutant{
		Package: f.pkg, File: pos.Filename, Line: pos.Line, Function: f.fn, Before: before, After: after,
		at: pos.Offset, end: f.offset(n.End()), source: f.index,
	}
	f.again[m.change()]++
	m.Again = f.again[m.change()]
	if f.skip[m.key()] {
		*f.untried++
		return 0
	}
	m.ID = len(*f.mutants) + 1
	*f.mutants = append(*f.mutants, m)
	return m.ID
}

// wrap puts text around a node; later wraps of the same node stand inside.
func (f *finder) wrap(n ast.Node, before, after string) {
	f.edits = append(f.edits, edit{at: f.offset(n.Pos()), end: f.offset(n.Pos()), rank: opens, text: before})
	f.close[n] = append(f.close[n], edit{at: f.offset(n.End()), end: f.offset(n.End()), rank: closes, text: after})
}

func (f *finder) replace(at token.Pos, length int, text string) {
	f.edits = append(f.edits, edit{at: f.offset(at), end: f.offset(at) + length, rank: operator, text: text})
}

// file walks the whole file.
func (f *finder) file() {
	var stack []ast.Node
	ast.Inspect(f.src.ast, func(n ast.Node) bool {
		if n == nil {
			top := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			f.leave(top)
			return true
		}
		if !f.enter(n) {
			f.leave(n)
			return false
		}
		stack = append(stack, n)
		return true
	})
}

func (f *finder) leave(n ast.Node) {
	edits := f.close[n]
	for i := len(edits) - 1; i >= 0; i-- {
		f.edits = append(f.edits, edits[i])
	}
	if _, ok := n.(*ast.FuncDecl); ok || n == f.top {
		f.fn, f.top = "", nil
	}
}

// enter notes the mutants of a node and says whether to go into it.
func (f *finder) enter(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.FuncDecl:
		if untouched[n.Name.Name] {
			return false
		}
		f.fn = functionName(n)
	case *ast.ImportSpec, *ast.TypeSpec, *ast.FuncType, *ast.FieldList:
		return false
	case *ast.GenDecl:
		return n.Tok == token.VAR
	case *ast.BlockStmt:
		f.list(n.List)
	case *ast.CaseClause:
		f.list(n.Body)
	case *ast.CommClause:
		f.list(n.Body)
	case *ast.SwitchStmt:
		f.cases(n)
	case *ast.IfStmt:
		f.condition(n.Cond, f.isGuard(n))
	case *ast.ForStmt:
		if n.Cond != nil {
			f.condition(n.Cond, none)
		}
	case *ast.ValueSpec:
		if f.fn == "" {
			f.fn = "var " + n.Names[0].Name
			f.top = n
		}
	case ast.Expr:
		return f.expression(n)
	case ast.Stmt:
		return f.statement(n)
	}
	return true
}

func (f *finder) list(statements []ast.Stmt) {
	for _, s := range statements {
		f.listed[s] = true
	}
}

// cases marks the conditions of a switch without tag as ones that can be left out.
func (f *finder) cases(n *ast.SwitchStmt) {
	if n.Tag != nil {
		return
	}
	for _, s := range n.Body.List {
		for _, e := range s.(*ast.CaseClause).List {
			f.condition(e, aGuard)
		}
	}
}

// condition marks the condition of an if, a for or a case. A comparison is
// negated where it stands, so only other conditions are negated here.
func (f *finder) condition(e ast.Expr, role clause) {
	if f.constant(e) || !f.plainBool(e) {
		return
	}
	f.role[e] = role
	inner := ast.Unparen(e)
	if b, ok := inner.(*ast.BinaryExpr); ok && isComparison(b.Op) {
		return
	}
	before, after := f.text(e), "!("+f.text(e)+")"
	if u, ok := inner.(*ast.UnaryExpr); ok && u.Op == token.NOT {
		after = f.text(u.X)
	} else if _, ok := inner.(*ast.BinaryExpr); !ok {
		after = "!" + f.text(e)
	}
	if id := f.add(e, before, after); id > 0 {
		f.wrap(e, "((", ") != "+on(id)+")")
	}
}

// isGuard reports an if that leaves early, other than by handing on an error.
func (f *finder) isGuard(n *ast.IfStmt) clause {
	if n.Else != nil || len(n.Body.List) == 0 {
		return none
	}
	switch last := n.Body.List[len(n.Body.List)-1].(type) {
	case *ast.ReturnStmt:
	case *ast.BranchStmt:
		if last.Tok != token.BREAK && last.Tok != token.CONTINUE {
			return none
		}
	default:
		return none
	}
	if b, ok := ast.Unparen(n.Cond).(*ast.BinaryExpr); ok && b.Op == token.NEQ {
		if t := f.info.TypeOf(b.X); t != nil && types.Identical(t, types.Universe.Lookup("error").Type()) {
			return none
		}
	}
	return aGuard
}

func (f *finder) constant(e ast.Expr) bool { return f.info.Types[e].Value != nil }

// plainBool reports a boolean that may be compared with one of type bool.
func (f *finder) plainBool(e ast.Expr) bool {
	t := f.info.TypeOf(e)
	if t == nil {
		return false
	}
	b, ok := t.(*types.Basic)
	return ok && (b.Kind() == types.Bool || b.Kind() == types.UntypedBool)
}

// expression notes the mutants of an expression.
func (f *finder) expression(e ast.Expr) bool {
	tv := f.info.Types[e]
	if tv.Value != nil || tv.IsType() || f.room[e] {
		return false
	}
	switch f.role[e] {
	case ofAnd:
		if id := f.add(e, f.parent(e)+": "+f.text(e), "true"); id > 0 {
			f.wrap(e, "("+on(id)+" || (", "))")
		}
	case ofOr:
		if id := f.add(e, f.parent(e)+": "+f.text(e), "false"); id > 0 {
			f.wrap(e, "(!"+on(id)+" && (", "))")
		}
	case aGuard:
		if id := f.add(e, f.text(e), "false"); id > 0 {
			f.wrap(e, "(!"+on(id)+" && (", "))")
		}
	}
	switch e := e.(type) {
	case *ast.BinaryExpr:
		f.binary(e)
	case *ast.CallExpr:
		f.sizes(e)
		return !isText(f.info, e)
	}
	return true
}

// sizes marks what make is told about room to come: no test can notice it.
func (f *finder) sizes(call *ast.CallExpr) {
	name, ok := ast.Unparen(call.Fun).(*ast.Ident)
	if !ok || len(call.Args) == 0 || f.info.Uses[name] != types.Universe.Lookup("make") {
		return
	}
	first := 2
	if _, isMap := f.info.TypeOf(call.Args[0]).Underlying().(*types.Map); isMap {
		first = 1
	}
	for i := first; i < len(call.Args); i++ {
		f.room[call.Args[i]] = true
	}
}

// parent names the operator an operand belongs to.
func (f *finder) parent(e ast.Expr) string {
	if f.role[e] == ofAnd {
		return "of &&"
	}
	return "of ||"
}

func (f *finder) binary(b *ast.BinaryExpr) {
	switch {
	case b.Op == token.LAND || b.Op == token.LOR:
		f.logic(b)
	case isComparison(b.Op):
		f.comparison(b)
	case arithmetic[b.Op].to != token.ILLEGAL:
		f.arithmetic(b)
	}
}

// logic exchanges && and ||. With m as the switch, a && b is
// ((a != m) && (b != m)) != m: a or b while m is on, by De Morgan.
func (f *finder) logic(b *ast.BinaryExpr) {
	if !f.plainBool(b) || !f.plainBool(b.X) || !f.plainBool(b.Y) {
		*f.untried++
		return
	}
	other, role := token.LOR, ofAnd
	if b.Op == token.LOR {
		other, role = token.LAND, ofOr
	}
	// An operand that is itself a chain of the same operator has its own operands.
	for _, x := range []ast.Expr{b.X, b.Y} {
		if inner, ok := ast.Unparen(x).(*ast.BinaryExpr); (!ok || inner.Op != b.Op) && !f.constant(x) {
			f.role[x] = role
		}
	}
	if id := f.add(b, f.text(b), f.text(b.X)+" "+other.String()+" "+f.text(b.Y)); id > 0 {
		f.wrap(b, "((((", ") != "+on(id)+")) != "+on(id)+")")
		f.replace(b.OpPos, 2, ") != "+on(id)+") "+b.Op.String()+" ((")
	}
}

func isComparison(op token.Token) bool {
	switch op {
	case token.LSS, token.LEQ, token.GTR, token.GEQ, token.EQL, token.NEQ:
		return true
	}
	return false
}

var negation = map[token.Token]token.Token{
	token.LSS: token.GEQ, token.LEQ: token.GTR, token.GTR: token.LEQ, token.GEQ: token.LSS,
	token.EQL: token.NEQ, token.NEQ: token.EQL,
}

// boundary names the helper with which a comparison gains or loses equality.
var boundary = map[token.Token]struct {
	to     token.Token
	helper string
}{
	token.LSS: {token.LEQ, "Lss"}, token.LEQ: {token.LSS, "Leq"},
	token.GTR: {token.GEQ, "Gtr"}, token.GEQ: {token.GTR, "Geq"},
}

func (f *finder) comparison(b *ast.BinaryExpr) {
	if !f.plainBool(b) {
		*f.untried++
		return
	}
	x, y := f.text(b.X), f.text(b.Y)
	if id := f.add(b, f.text(b), x+" "+negation[b.Op].String()+" "+y); id > 0 {
		f.wrap(b, "((", ") != "+on(id)+")")
	}
	edge, ok := boundary[b.Op]
	if !ok {
		return
	}
	if !f.sameBasic(b, types.IsOrdered) {
		*f.untried++
		return
	}
	if id := f.add(b, f.text(b), x+" "+edge.to.String()+" "+y); id > 0 {
		f.wrap(b, prefix+edge.helper+"("+number(id)+", ", ")")
		f.replace(b.OpPos, len(b.Op.String()), ",")
	}
}

// sameBasic reports operands whose common type a generic helper can infer.
func (f *finder) sameBasic(b *ast.BinaryExpr, want types.BasicInfo) bool {
	for _, e := range []ast.Expr{b.X, b.Y} {
		t := f.info.TypeOf(e)
		if t == nil {
			return false
		}
		if _, param := types.Unalias(t).(*types.TypeParam); param {
			return false
		}
		basic, ok := t.Underlying().(*types.Basic)
		if !ok || basic.Info()&want == 0 || f.bareShift(e) {
			return false
		}
	}
	return true
}

// bareShift reports a shift of an untyped constant: its type comes from what
// stands around it, and a helper's parameter would change that.
func (f *finder) bareShift(e ast.Expr) bool {
	if f.constant(e) {
		return false
	}
	b, ok := ast.Unparen(e).(*ast.BinaryExpr)
	if !ok {
		return false
	}
	if b.Op == token.SHL || b.Op == token.SHR {
		return f.constant(b.X)
	}
	return arithmetic[b.Op].to != token.ILLEGAL && (f.bareShift(b.X) || f.bareShift(b.Y))
}

var arithmetic = map[token.Token]struct {
	to     token.Token
	helper string
	want   types.BasicInfo
}{
	token.ADD: {token.SUB, "Add", types.IsInteger | types.IsFloat},
	token.SUB: {token.ADD, "Sub", types.IsInteger | types.IsFloat},
	token.MUL: {token.QUO, "Mul", types.IsInteger | types.IsFloat},
	token.QUO: {token.MUL, "Quo", types.IsInteger | types.IsFloat},
	token.REM: {token.MUL, "Rem", types.IsInteger},
}

func (f *finder) arithmetic(b *ast.BinaryExpr) {
	change := arithmetic[b.Op]
	if t, ok := f.info.TypeOf(b).Underlying().(*types.Basic); ok && t.Info()&types.IsString != 0 {
		return
	}
	if !f.sameBasic(b, change.want) {
		*f.untried++
		return
	}
	if id := f.add(b, f.text(b), f.text(b.X)+" "+change.to.String()+" "+f.text(b.Y)); id > 0 {
		f.wrap(b, prefix+change.helper+"("+number(id)+", ", ")")
		f.replace(b.OpPos, 1, ",")
	}
}

// statement notes the mutants of a statement that stands in a list.
func (f *finder) statement(s ast.Stmt) bool {
	if !f.listed[s] {
		return true
	}
	switch s := s.(type) {
	case *ast.ExprStmt:
		if call, ok := s.X.(*ast.CallExpr); ok && isText(f.info, call) {
			return false
		}
		f.removal(s)
	case *ast.SendStmt:
		f.removal(s)
	case *ast.IncDecStmt:
		other := "--"
		if s.Tok == token.DEC {
			other = "++"
		}
		f.exchange(s, s.TokPos, 2, other)
	case *ast.AssignStmt:
		switch s.Tok {
		case token.DEFINE:
			return true
		case token.ADD_ASSIGN, token.SUB_ASSIGN:
			if f.numeric(s.Lhs[0]) {
				other := "-="
				if s.Tok == token.SUB_ASSIGN {
					other = "+="
				}
				f.exchange(s, s.TokPos, 2, other)
			}
		}
		if !allBlank(s.Lhs) {
			f.removal(s)
		}
	}
	return true
}

func (f *finder) numeric(e ast.Expr) bool {
	t, ok := f.info.TypeOf(e).Underlying().(*types.Basic)
	return ok && t.Info()&(types.IsInteger|types.IsFloat) != 0
}

func allBlank(list []ast.Expr) bool {
	for _, e := range list {
		if name, ok := e.(*ast.Ident); !ok || name.Name != "_" {
			return false
		}
	}
	return true
}

func (f *finder) removal(s ast.Stmt) {
	if id := f.add(s, f.text(s), leftOut); id > 0 {
		f.wrap(s, "if !"+on(id)+" { ", " }")
	}
}

// exchange puts another operator into a statement; the changed copy stands in
// front of the original.
func (f *finder) exchange(s ast.Stmt, at token.Pos, length int, other string) {
	raw := f.raw(s)
	from := f.offset(at) - f.offset(s.Pos())
	changed := bytes.Join([][]byte{raw[:from], []byte(other), raw[from+length:]}, nil)
	if id := f.add(s, f.text(s), strings.Join(strings.Fields(string(changed)), " ")); id > 0 {
		f.wrap(s, "if "+on(id)+" { "+string(changed)+" } else { ", " }")
	}
}

// untouched functions make text for people.
var untouched = map[string]bool{"String": true, "Error": true, "GoString": true, "Format": true, "LogValue": true}

// functionName is (*T).Name, T.Name or Name.
func functionName(d *ast.FuncDecl) string {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return d.Name.Name
	}
	t, star := d.Recv.List[0].Type, false
	if s, ok := t.(*ast.StarExpr); ok {
		t, star = s.X, true
	}
	if index, ok := t.(*ast.IndexExpr); ok {
		t = index.X
	}
	name := "?"
	if id, ok := t.(*ast.Ident); ok {
		name = id.Name
	}
	if star {
		return "(*" + name + ")." + d.Name.Name
	}
	return name + "." + d.Name.Name
}

// isText reports a call whose arguments are words for people (errors, log lines,
// panics), or one that holds a lock.
func isText(info *types.Info, call *ast.CallExpr) bool {
	var object types.Object
	switch fun := ast.Unparen(call.Fun).(type) {
	case *ast.Ident:
		object = info.Uses[fun]
	case *ast.SelectorExpr:
		object = info.Uses[fun.Sel]
	}
	if object == nil {
		return false
	}
	if _, builtin := object.(*types.Builtin); builtin {
		return object.Name() == "panic"
	}
	if object.Pkg() == nil {
		return false
	}
	switch object.Pkg().Path() {
	case "log", "log/slog", "errors", "sync":
		return true
	case "fmt":
		return object.Name() == "Errorf"
	}
	return false
}
