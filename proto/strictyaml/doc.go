// Package strictyaml reads the YAML files that people write by hand: configurations
// and column maps. A file means what its writer sees in it, or it is refused with
// the line, the key and what to write instead.
//
// The parser is goccy/go-yaml. Its decoder alone does not do: a key that is no
// string empties the struct around it ({latitude: 52,1} is 0 degrees), a number
// becomes text in another form (site: 010 is "8"), an integer with a leading zero
// is octal, a key without a value is zero, and its errors speak of Go's types. So
// the tree is walked along the target's type before it is decoded:
//
//   - a key is a plain string;
//   - a scalar whose target is text keeps its own text;
//   - a number is decimal, hexadecimal or 0o octal, whole where the target is, and
//     within the target's range; a duration has a unit;
//   - a single value is not empty; a section or a list may be.
//
// A second document in a file is refused, because it would be left unread.
// Refused designs: another parser (the agent links one YAML only), and a
// schema (it would say a second time what the structs say).
//
// Source: YAML 1.2.2, sections 7.4 and 10.3.
package strictyaml
