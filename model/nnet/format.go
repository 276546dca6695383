package nnet

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"fairwatt/model"
)

// Weights are a trained set of heads: what a weight file holds.
type Weights struct {
	Name       string
	Version    int
	Seed       uint64
	Credits    []string
	Heads      []*Head
	Yardsticks []Yardstick
}

// The weight file, version 1, is text (docs/model.md):
//
//	fairwatt-nnet 1
//	header <bytes>
//	{ ... indented JSON of that many bytes, the last one a line feed ... }
//	tensor <head index> <layer> w <rows> <columns>
//	<base64 of little-endian float32, row-major, at most 76 characters a line>
//	tensor <head index> <layer> b 1 <columns>
//	...
//	sha256 <hex of SHA-256 over every byte before this line>
const (
	magic       = "fairwatt-nnet 1"
	maxFile     = 1 << 20
	maxHeader   = 128 << 10
	base64Line  = 76
	sha256Start = "sha256 "
)

// ErrChecksum is returned by Load if the SHA-256 line does not fit the bytes
// before it: a byte was changed or lost.
var ErrChecksum = errors.New("weights: checksum does not match")

// ErrSchema is returned by Load when the weights were trained on other
// features than this program computes.
var ErrSchema = errors.New("weights: trained on another feature schema")

// header is the JSON part.
type header struct {
	Name          string       `json:"name"`
	Version       int          `json:"version"`
	Seed          uint64       `json:"seed"`
	FeatureSchema string       `json:"feature_schema_sha256"`
	Credits       []string     `json:"credits"`
	Heads         []headHeader `json:"heads"`
	Yardsticks    []Yardstick  `json:"yardsticks,omitempty"`
}

type headHeader struct {
	Name           string     `json:"name"`
	Role           string     `json:"role"`
	Task           string     `json:"task"`
	Kind           model.Kind `json:"kind"`
	HorizonMs      int64      `json:"horizon_ms"`
	GustMPS        float64    `json:"gust_mps,omitempty"`
	EvaluationOnly bool       `json:"evaluation_only"`
	Inputs         []string   `json:"inputs"`
	Required       []string   `json:"required"`
	Mean           []float32  `json:"mean"`
	SD             []float32  `json:"sd"`
	Shapes         []int      `json:"shapes"`
	Members        int        `json:"members,omitempty"` // side by side, with no weight between them; 0: one
	Activation     string     `json:"activation"`
	PlattA         float64    `json:"platt_a"`
	PlattB         float64    `json:"platt_b"`
	Warn           float64    `json:"warn"`
	FalseAlarms    float64    `json:"false_alarms_per_site_day"`
	Validation     Validation `json:"validation"`
	Split          Split      `json:"split"`
	Base           string     `json:"base,omitempty"` // inputs, means and tensors are those beside it
	SelfTest       selfTest   `json:"self_test"`
}

const activation = "tanh, last layer linear"

// Marshal writes the weight file. Equal weights give equal bytes.
func (w *Weights) Marshal() ([]byte, error) {
	schema := model.FeatureSchemaHash()
	hd := header{
		Name: w.Name, Version: w.Version, Seed: w.Seed, Credits: w.Credits,
		FeatureSchema: hex.EncodeToString(schema[:]), Yardsticks: w.Yardsticks,
	}
	for _, h := range w.Heads {
		in, base := h.stored(), ""
		if h.base != nil {
			base = h.base.Name
		}
		hd.Heads = append(hd.Heads, headHeader{
			Name: h.Name, Role: h.Role, Task: h.Task.Name, Kind: h.Kind, HorizonMs: h.Task.HorizonMs,
			GustMPS: h.Task.GustMPS, EvaluationOnly: h.EvaluationOnly, Inputs: in.Inputs, Required: in.Required,
			Base: base, Mean: in.mean, SD: in.sd, Shapes: in.net.shapes(), Members: in.net.members(), Activation: activation, PlattA: h.a, PlattB: h.b,
			Warn: h.Warn, FalseAlarms: h.FalseAlarms, Validation: h.Validation, Split: h.Split, SelfTest: h.test,
		})
	}
	js, err := json.MarshalIndent(hd, "", " ")
	if err != nil {
		return nil, fmt.Errorf("marshal weights: %w", err)
	}
	js = append(js, '\n')
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\nheader %d\n%s", magic, len(js), js)
	for i, h := range w.Heads {
		net := h.stored().net
		n := net.members()
		for l := range net {
			d := &net[l]
			own := net.own(l, n)
			writeTensor(&b, fmt.Sprintf("tensor %d %d w %d %d", i, l, d.In, len(own)/d.In), own)
			writeTensor(&b, fmt.Sprintf("tensor %d %d b 1 %d", i, l, d.Out), d.B)
		}
	}
	fmt.Fprintf(&b, "%s%x\n", sha256Start, sha256.Sum256(b.Bytes()))
	if b.Len() > maxFile || len(js) > maxHeader {
		return nil, fmt.Errorf("marshal weights: %d bytes are over the limit", b.Len())
	}
	return b.Bytes(), nil
}

func writeTensor(b *bytes.Buffer, title string, v []float32) {
	raw := make([]byte, 0, 4*len(v))
	for _, x := range v {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
	}
	b.WriteString(title + "\n")
	text := base64.StdEncoding.EncodeToString(raw)
	for len(text) > 0 {
		n := min(len(text), base64Line)
		b.WriteString(text[:n] + "\n")
		text = text[n:]
	}
}

// ParseWeights reads a weight file and checks all of it: checksum, schema,
// names, shapes, finiteness and every head's self-test. It accepts exactly the
// bytes Marshal writes and never allocates more than a small multiple of them.
func ParseWeights(data []byte) (*Weights, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("weights: %d bytes are over the limit of %d", len(data), maxFile)
	}
	at := bytes.LastIndex(data, []byte("\n"+sha256Start))
	if !bytes.HasPrefix(data, []byte(magic+"\n")) || at < 0 {
		return nil, fmt.Errorf("weights: not a %q file, or cut short", magic)
	}
	body, sum := data[:at+1], sha256.Sum256(data[:at+1])
	if string(data[at+1:]) != sha256Start+hex.EncodeToString(sum[:])+"\n" {
		return nil, ErrChecksum
	}
	rest := body[len(magic)+1:]
	line, rest, ok := bytes.Cut(rest, []byte("\n"))
	size, found := strings.CutPrefix(string(line), "header ")
	n, err := strconv.Atoi(size)
	if !ok || !found || err != nil || n < 2 || n > maxHeader || n > len(rest) {
		return nil, fmt.Errorf("weights: bad header line %q", line)
	}
	w, hd, err := parseHeader(rest[:n], len(rest)-n)
	if err != nil {
		return nil, fmt.Errorf("weights: %w", err)
	}
	r := tensorReader{rest: rest[n:]}
	for i, h := range w.Heads {
		for l := range h.net {
			d := &h.net[l]
			own := make([]float32, h.net.ownLen(l, hd.Heads[i].Members))
			r.read(fmt.Sprintf("tensor %d %d w %d %d", i, l, d.In, len(own)/d.In), own)
			h.net.spread(l, hd.Heads[i].Members, own)
			r.read(fmt.Sprintf("tensor %d %d b 1 %d", i, l, d.Out), d.B)
		}
	}
	if r.err == nil && len(r.rest) > 0 {
		r.err = fmt.Errorf("%d bytes after the last tensor", len(r.rest))
	}
	if r.err != nil {
		return nil, fmt.Errorf("weights: %w", r.err)
	}
	for i, h := range w.Heads {
		if err := w.joinBase(h, i, hd.Heads[i].Base); err != nil {
			return nil, fmt.Errorf("weights: head %q: %w", h.Name, err)
		}
		h.prepare()
		if err := h.test.check(h); err != nil {
			return nil, fmt.Errorf("weights: head %q: %w", h.Name, err)
		}
	}
	return w, nil
}

// parseHeader reads the JSON part; room is how many bytes of tensors follow.
func parseHeader(js []byte, room int) (*Weights, *header, error) {
	dec := json.NewDecoder(bytes.NewReader(js))
	dec.DisallowUnknownFields()
	var hd header
	if err := dec.Decode(&hd); err != nil {
		return nil, nil, fmt.Errorf("header: %w", err)
	}
	if schema := model.FeatureSchemaHash(); hd.FeatureSchema != hex.EncodeToString(schema[:]) {
		return nil, nil, fmt.Errorf("%w: %.16s", ErrSchema, hd.FeatureSchema)
	}
	if hd.Name == "" || hd.Version < 1 {
		return nil, nil, errors.New("header: name and version are missing")
	}
	if len(hd.Heads) == 0 || len(hd.Heads) > 2*maxHeads {
		return nil, nil, fmt.Errorf("header: %d heads", len(hd.Heads))
	}
	w := &Weights{Name: hd.Name, Version: hd.Version, Seed: hd.Seed, Credits: hd.Credits, Yardsticks: hd.Yardsticks}
	for i := range hd.Heads {
		h, err := hd.Heads[i].head()
		if err != nil {
			return nil, nil, fmt.Errorf("header: head %q: %w", hd.Heads[i].Name, err)
		}
		// Room is made for tensors only when their text can be there.
		if room -= hd.Heads[i].textBytes(); room < 0 {
			return nil, nil, fmt.Errorf("header: head %q: cut short before its tensors", hd.Heads[i].Name)
		}
		h.net = newMLP(hd.Heads[i].Shapes)
		w.Heads = append(w.Heads, h)
	}
	return w, &hd, nil
}

// joinBase joins head i with its base, if it names one of those before it.
func (w *Weights) joinBase(h *Head, i int, base string) error {
	if base == "" {
		return nil
	}
	for _, b := range w.Heads[:i] {
		if b.Name == base {
			return h.join(b)
		}
	}
	return fmt.Errorf("base %.40q is no head before it", base)
}

// head checks one head's description; its tensors come later.
func (hh *headHeader) head() (*Head, error) {
	h := &Head{
		Name: hh.Name, Role: hh.Role, Task: Task{Name: hh.Task, HorizonMs: hh.HorizonMs, GustMPS: hh.GustMPS},
		Kind: hh.Kind, Inputs: hh.Inputs, Required: hh.Required, EvaluationOnly: hh.EvaluationOnly, Split: hh.Split,
		Warn: hh.Warn, FalseAlarms: hh.FalseAlarms, Validation: hh.Validation,
		mean: hh.Mean, sd: hh.SD, a: hh.PlattA, b: hh.PlattB, test: hh.SelfTest,
	}
	kind, err := h.Task.Kind()
	if err != nil {
		return nil, err
	}
	if kind != hh.Kind || (hh.Role != RoleNetwork && hh.Role != RoleLogistic) || hh.Activation != activation {
		return nil, fmt.Errorf("kind %q, role %q or activation %q do not fit", hh.Kind, hh.Role, hh.Activation)
	}
	if h.inputs, err = featureIndexes(hh.Inputs); err != nil {
		return nil, fmt.Errorf("inputs: %w", err)
	}
	if len(hh.Required) > 0 {
		if h.required, err = featureIndexes(hh.Required); err != nil {
			return nil, fmt.Errorf("required: %w", err)
		}
	}
	n := len(h.inputs)
	if len(hh.Mean) != n || len(hh.SD) != n {
		return nil, fmt.Errorf("%d means and %d deviations for %d inputs", len(hh.Mean), len(hh.SD), n)
	}
	for k := range n {
		if !(hh.SD[k] > 0) { // JSON has no NaN or Inf
			return nil, fmt.Errorf("deviation of %s is %g", hh.Inputs[k], hh.SD[k])
		}
	}
	if !(hh.Warn > 0 && hh.Warn < 2) || !(hh.PlattA > 0) {
		return nil, fmt.Errorf("warn %g or platt_a %g out of range", hh.Warn, hh.PlattA)
	}
	last := len(hh.Shapes) - 1
	if last < 1 || last > maxLayers || hh.Shapes[0] != 2*n || hh.Shapes[last] != 1 {
		return nil, fmt.Errorf("shapes %v do not lead from %d inputs to 1 output", hh.Shapes, 2*n)
	}
	for _, s := range hh.Shapes {
		if s < 1 || s > maxWidth {
			return nil, fmt.Errorf("shapes %v: width %d is not in 1..%d", hh.Shapes, s, maxWidth)
		}
	}
	for _, s := range hh.Shapes[1:last] {
		if hh.Members != 0 && (hh.Members < 2 || hh.Members > maxMembers || s%hh.Members != 0) {
			return nil, fmt.Errorf("members: %d do not share shapes %v", hh.Members, hh.Shapes)
		}
	}
	if hh.Members != 0 && last < 2 {
		return nil, fmt.Errorf("members: %d of a network without a hidden layer", hh.Members)
	}
	return h, nil
}

// ownLen is how many weights of a layer a file holds: between hidden layers, those
// within each member. The others are 0.
func ownLen(shapes []int, l, members int) int {
	n := shapes[l] * shapes[l+1]
	if members > 1 && l > 0 && l < len(shapes)-2 {
		n /= members
	}
	return n
}

func (m mlp) ownLen(l, members int) int { return ownLen(m.shapes(), l, members) }

// members is how many networks of equal shapes stand side by side in m, as in the
// most that leave no weight between them; 0 for one, and without two hidden layers,
// where a file would gain nothing.
func (m mlp) members() int {
	if len(m) < 3 {
		return 0
	}
	for n := maxMembers; n > 1; n-- {
		apart := true
		for l := range m[:len(m)-1] {
			apart = apart && m[l].Out%n == 0
		}
		for l := 1; apart && l < len(m)-1; l++ {
			d := &m[l]
			for i, w := range d.W {
				if w != 0 && i/d.Out/(d.In/n) != i%d.Out/(d.Out/n) {
					apart = false
					break
				}
			}
		}
		if apart {
			return n
		}
	}
	return 0
}

// own returns the weights of a layer that a file holds, row by row.
func (m mlp) own(l, members int) []float32 {
	d := &m[l]
	if m.ownLen(l, members) == len(d.W) {
		return d.W
	}
	out := make([]float32, 0, len(d.W)/members)
	width := d.Out / members
	for i := range d.In {
		at := i*d.Out + i/(d.In/members)*width
		out = append(out, d.W[at:at+width]...)
	}
	return out
}

// spread is the inverse of own.
func (m mlp) spread(l, members int, own []float32) {
	d := &m[l]
	if len(own) == len(d.W) {
		copy(d.W, own)
		return
	}
	width := d.Out / members
	for i := range d.In {
		copy(d.W[i*d.Out+i/(d.In/members)*width:][:width], own[i*width:])
	}
}

// textBytes is a lower bound of the length of the head's tensors in the file.
func (hh *headHeader) textBytes() int {
	n := 0
	for l := range len(hh.Shapes) - 1 {
		n += 4 * (ownLen(hh.Shapes, l, hh.Members) + hh.Shapes[l+1])
	}
	return n
}

// A tensorReader reads tensors in their fixed order; the first error sticks.
type tensorReader struct {
	rest []byte
	err  error
}

func (r *tensorReader) line() string {
	line, rest, ok := bytes.Cut(r.rest, []byte("\n"))
	if !ok {
		r.err = errors.New("cut short")
		return ""
	}
	r.rest = rest
	return string(line)
}

func (r *tensorReader) read(title string, v []float32) {
	if r.err != nil {
		return
	}
	if got := r.line(); r.err == nil && got != title {
		r.err = fmt.Errorf("%.40q stands where %q should", got, title)
	}
	text := make([]byte, 0, base64.StdEncoding.EncodedLen(4*len(v)))
	for r.err == nil && len(text) < cap(text) {
		part := r.line()
		if want := min(base64Line, cap(text)-len(text)); r.err == nil && len(part) != want {
			r.err = fmt.Errorf("%s: a line of %d characters, want %d", title, len(part), want)
		}
		text = append(text, part...)
	}
	if r.err != nil {
		return
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(string(text))
	if err != nil || len(raw) != 4*len(v) {
		r.err = fmt.Errorf("%s: bad base64", title)
		return
	}
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		if x := float64(v[i]); math.IsNaN(x) || math.IsInf(x, 0) {
			r.err = fmt.Errorf("%s: number %d is not finite", title, i)
			return
		}
	}
}
