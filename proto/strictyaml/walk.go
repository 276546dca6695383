package strictyaml

import (
	"encoding"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"fairwatt/proto/brief"
)

// A walker compares a tree with the type that it is for, and puts text where the
// type wants text.
type walker struct {
	anchors map[string]ast.Node
	body    ast.Node
	nodes   int
	depth   int
}

func (w *walker) root(body ast.Node, into any) error {
	w.body = body
	return w.node(body, reflect.TypeOf(into), "", func(n ast.Node) { w.body = n })
}

var (
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()
	durationType = reflect.TypeFor[time.Duration]()
)

// A Form is a target that reads itself, by a struct that depends on the values of
// its keys.
type Form interface {
	// YAMLForm returns that struct's type. text gives the own text of a key's single
	// value, empty without one.
	YAMLForm(text func(key string) string) reflect.Type
}

// Worded is a target that takes one of some words in place of keys, and reads
// itself.
type Worded interface{ YAMLWords() []string }

// takesWord says whether a single value is one of the words of its target.
func takesWord(n ast.Node, typ reflect.Type) bool {
	w, ok := reflect.New(typ).Interface().(Worded)
	if _, scalar := n.(ast.ScalarNode); !ok || !scalar {
		return false
	}
	return slices.Contains(w.YAMLWords(), own(n))
}

// form is the type that pairs are read as.
func (w *walker) form(typ reflect.Type, pairs []*ast.MappingValueNode) reflect.Type {
	f, ok := reflect.New(typ).Interface().(Form)
	if !ok {
		return typ
	}
	return f.YAMLForm(func(name string) string { return w.text(pairs, name) })
}

// text is the own text of a key's single value.
func (w *walker) text(pairs []*ast.MappingValueNode, name string) (text string) {
	for _, pair := range pairs {
		if k, ok := key(pair.Key); !ok || k != name {
			continue
		}
		n := pair.Value
		if alias, ok := n.(*ast.AliasNode); ok {
			n = w.anchors[alias.Value.String()]
		}
		if anchor, ok := n.(*ast.AnchorNode); ok {
			n = anchor.Value
		}
		if _, ok := n.(ast.ScalarNode); ok {
			text = own(n)
		}
	}
	return text
}

// node checks one value. put replaces it in its parent.
func (w *walker) node(n ast.Node, typ reflect.Type, field string, put func(ast.Node)) error {
	w.depth++
	defer func() { w.depth-- }()
	if w.nodes++; w.nodes > maxNodes || w.depth > maxDepth {
		return at(n, field, "more than %d values, or nested deeper than %d", maxNodes, maxDepth)
	}
	switch v := n.(type) {
	case *ast.AnchorNode:
		w.anchors[v.Name.String()] = v.Value
		return w.node(v.Value, typ, field, func(n ast.Node) { v.Value = n; w.anchors[v.Name.String()] = n })
	case *ast.AliasNode:
		target, ok := w.anchors[v.Value.String()]
		if !ok {
			return at(n, field, "%s names no value before it", brief.Text("*"+v.Value.String()))
		}
		return w.node(target, typ, field, put)
	case *ast.TagNode:
		return w.node(v.Value, typ, field, put) // the target says what it is
	}
	for typ.Kind() == reflect.Pointer && !typ.Implements(textType) {
		typ = typ.Elem()
	}
	switch {
	case typ.Kind() == reflect.Interface:
		return nil
	case reflect.PointerTo(typ).Implements(textType), typ == durationType:
		return w.scalar(n, typ, field, put)
	}
	switch typ.Kind() {
	case reflect.Struct, reflect.Map:
		return w.mapping(n, typ, field)
	case reflect.Slice, reflect.Array:
		return w.list(n, typ, field)
	}
	return w.scalar(n, typ, field, put)
}

func (w *walker) mapping(n ast.Node, typ reflect.Type, field string) error {
	var pairs []*ast.MappingValueNode
	switch v := n.(type) {
	case *ast.NullNode:
		return nil
	case *ast.MappingNode:
		pairs = v.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{v}
	default:
		if takesWord(n, typ) {
			return nil
		}
		return at(n, field, "%s stands where keys with values belong, as key: value", brief.Quote(own(n)))
	}
	typ = w.form(typ, pairs)
	for _, pair := range pairs {
		if _, merge := pair.Key.(*ast.MergeKeyNode); merge {
			if err := w.node(pair.Value, typ, field, func(n ast.Node) { pair.Value = n }); err != nil {
				return err
			}
			continue
		}
		name, ok := key(pair.Key)
		if !ok {
			return at(pair.Key, field, "%s is no key%s", brief.Quote(own(pair.Key)), w.comma(pair, pairs))
		}
		inner, ok := elem(typ, name)
		if !ok {
			continue // the decoder says that the field is unknown
		}
		path := brief.Text(name)
		if field != "" {
			path = field + "." + path
		}
		if err := w.node(pair.Value, inner, path, func(n ast.Node) { pair.Value = n }); err != nil {
			return err
		}
	}
	return nil
}

// comma explains a key that is a number: mostly the end of a decimal comma.
func (w *walker) comma(pair *ast.MappingValueNode, pairs []*ast.MappingValueNode) string {
	digits := own(pair.Key)
	if _, err := strconv.ParseUint(digits, 10, 64); err != nil {
		return "; a key is plain text, or stands in quotes"
	}
	for i, p := range pairs {
		if p != pair || i == 0 {
			continue
		}
		if name, ok := key(pairs[i-1].Key); ok {
			before := own(pairs[i-1].Value)
			return "; is " + brief.Text(name) + " " + brief.Text(before+"."+digits) + "? Write a point, not a comma"
		}
	}
	return "; a key that is a number stands in quotes"
}

// key is the text of a key that is a plain string.
func key(k ast.MapKeyNode) (string, bool) {
	s, ok := k.(*ast.StringNode)
	if !ok {
		return "", false
	}
	return s.Value, true
}

// elem is the type of what a key names.
func elem(typ reflect.Type, name string) (reflect.Type, bool) {
	switch typ.Kind() {
	case reflect.Pointer: // an inlined one
		return elem(typ.Elem(), name)
	case reflect.Map:
		return typ.Elem(), true
	}
	for i := range typ.NumField() {
		f := typ.Field(i)
		if !f.IsExported() {
			continue
		}
		tag, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case strings.Contains(options, "inline"):
			if inner, ok := elem(f.Type, name); ok {
				return inner, true
			}
		case tag == name, tag == "" && strings.ToLower(f.Name) == name:
			return f.Type, true
		}
	}
	return nil, false
}

func (w *walker) list(n ast.Node, typ reflect.Type, field string) error {
	switch v := n.(type) {
	case *ast.NullNode:
		return nil
	case *ast.SequenceNode:
		for i := range v.Values {
			path := field + "[" + strconv.Itoa(i) + "]"
			if err := w.node(v.Values[i], typ.Elem(), path, func(n ast.Node) { v.Values[i] = n }); err != nil {
				return err
			}
		}
		return nil
	}
	return at(n, field, "%s stands where a list belongs: write [a, b], or a line \"- a\" for each", brief.Quote(own(n)))
}

// own is a node's text as the file has it.
func own(n ast.Node) string {
	switch v := n.(type) {
	case *ast.StringNode:
		return v.Value
	case *ast.LiteralNode:
		return v.Value.Value
	case ast.ScalarNode:
		return v.GetToken().Value
	}
	return strings.TrimSpace(n.String())
}

// scalar checks a single value.
func (w *walker) scalar(n ast.Node, typ reflect.Type, field string, put func(ast.Node)) error {
	if _, ok := n.(ast.ScalarNode); !ok {
		return at(n, field, "a list or keys stand where a single value belongs")
	}
	text := own(n)
	_, isNull := n.(*ast.NullNode)
	isText := reflect.PointerTo(typ).Implements(textType)
	switch {
	case isNull && field == "":
		return at(n, field, "no value")
	case isNull:
		return at(n, field, "has no value; give one, or take the key out")
	case isText, typ.Kind() == reflect.String:
		if _, ok := n.(*ast.StringNode); ok {
			return nil
		}
		if _, ok := n.(*ast.LiteralNode); !ok {
			put(plain(n, text))
		}
		return nil
	case typ == durationType:
		if _, err := time.ParseDuration(text); err != nil {
			return at(n, field, "%s is no time; write a number with a unit, such as 1s, 15m or 24h", brief.Quote(text))
		}
		put(plain(n, text))
		return nil
	case typ.Kind() == reflect.Bool:
		if _, ok := n.(*ast.BoolNode); !ok {
			return at(n, field, "%s is neither true nor false (write it without quotes)", brief.Quote(text))
		}
		return nil
	}
	return number(n, typ, field, text)
}

// plain is a string node with a scalar's own text in its place.
func plain(n ast.Node, text string) ast.Node {
	tk := n.GetToken()
	s := ast.String(token.String(text, text, tk.Position))
	s.Value = text
	return s
}

// number checks a value whose target is a number.
func number(n ast.Node, typ reflect.Type, field, text string) error {
	digits := strings.TrimLeft(text, "+-")
	if len(digits) > 1 && digits[0] == '0' && strings.Trim(digits, "0123456789_") == "" {
		return at(n, field, "%s begins with 0; write the number without it", brief.Quote(text))
	}
	switch k := typ.Kind(); k {
	case reflect.Float32, reflect.Float64:
		switch n.(type) {
		case *ast.IntegerNode, *ast.FloatNode:
			return nil
		}
		// The parser takes 1e3 for text.
		if v, err := strconv.ParseFloat(text, 64); err == nil && !math.IsInf(v, 0) && !math.IsNaN(v) {
			return nil
		}
		hint := "such as 12.5, without quotes"
		if strings.Contains(text, ",") {
			hint = "with a decimal point, not a comma"
		}
		return at(n, field, "%s is no number; write one %s", brief.Quote(text), hint)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return whole(n, field, text, math.MinInt64>>(64-typ.Bits()), math.MaxInt64>>(64-typ.Bits()))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return whole(n, field, text, 0, math.MaxUint64>>(64-typ.Bits()))
	}
	return nil
}

// whole checks a whole number from low to high.
func whole(n ast.Node, field, text string, low int64, high uint64) error {
	if _, ok := n.(*ast.IntegerNode); !ok {
		return at(n, field, "%s is no whole number; write one without quotes, such as 118 or 0x76", brief.Quote(text))
	}
	clean := strings.ReplaceAll(text, "_", "")
	if v, err := strconv.ParseInt(clean, 0, 64); err == nil && v >= low && (v < 0 || uint64(v) <= high) {
		return nil
	}
	if v, err := strconv.ParseUint(clean, 0, 64); err == nil && v <= high {
		return nil
	}
	return at(n, field, "%s is outside %d to %d", brief.Quote(text), low, high)
}
