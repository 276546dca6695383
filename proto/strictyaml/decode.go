package strictyaml

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"fairwatt/proto/brief"
)

// Limits of what is walked: a few anchors that name each other must not ask for
// hours.
const (
	maxNodes = 100_000
	maxDepth = 64
)

// An Error says where a file is wrong and what to write instead.
type Error struct {
	Line, Column int    // from 1
	Field        string // as location.latitude; empty where no single one is meant
	Msg          string
}

func (e *Error) Error() string {
	at := ""
	if e.Line > 0 {
		at = fmt.Sprintf("[%d:%d] ", e.Line, e.Column)
	}
	if e.Field != "" {
		at += e.Field + ": "
	}
	return at + e.Msg
}

// Decode reads one YAML document into the struct that into points to. What the
// document does not name keeps its value. An empty document changes nothing.
func Decode(text []byte, into any) (err error) {
	defer func() {
		// goccy/go-yaml v1.19.2 panics on some malformed documents (a tag where a
		// list is expected, as a fuzz test found).
		if p := recover(); p != nil {
			err = &Error{Msg: "malformed YAML"}
		}
	}()
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return translate(err)
	}
	var body ast.Node
	for _, doc := range file.Docs {
		switch {
		case doc.Body == nil, doc.Body.Type() == ast.NullType, doc.Body.Type() == ast.CommentType:
		case body != nil:
			return at(doc.Body, "", "a second document: a file holds one")
		default:
			body = doc.Body
		}
	}
	if body == nil {
		return nil
	}
	w := &walker{anchors: map[string]ast.Node{}}
	if err := w.root(body, into); err != nil {
		return err
	}
	if err := yaml.NodeToValue(w.body, into, yaml.Strict()); err != nil {
		return translate(err)
	}
	return nil
}

// at is an error about a node.
func at(n ast.Node, field, format string, args ...any) error {
	e := &Error{Field: field, Msg: fmt.Sprintf(format, args...)}
	if tk := n.GetToken(); tk != nil && tk.Position != nil {
		e.Line, e.Column = tk.Position.Line, tk.Position.Column
	}
	return e
}

// translate takes the place and the words of the parser's error, and leaves out its
// copy of the file and Go's types.
func translate(err error) error {
	var y yaml.Error
	if !errors.As(err, &y) {
		return &Error{Msg: brief.Text(strings.TrimSpace(err.Error()))}
	}
	e := &Error{Msg: y.GetMessage()}
	if strings.Contains(e.Msg, "Go ") || strings.Contains(e.Msg, "unmarshal") {
		e.Msg = "the value is of another kind than this key takes"
	}
	if tk := y.GetToken(); tk != nil && tk.Position != nil {
		e.Line, e.Column = tk.Position.Line, tk.Position.Column
	}
	return e
}
