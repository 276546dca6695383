package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"fairwatt/aggregator/ledger"
)

// An operation is one address of the API: its parameters, what it answers with, and a
// request that the sample community can answer.
type operation struct {
	path, says string
	query      []string // name=what it is; a leading + marks one that is required
	answer     any      // of a JSON answer; else kind
	kind       string
	errors     []int
	example    string
	wrong      map[string]int // requests that are refused, with the status
}

var operations = []operation{
	{path: "/api/v1/snapshot", says: "All that the page shows.", answer: Snapshot{}, example: "/api/v1/snapshot"},
	{path: "/api/v1/generators", says: "The generators of the snapshot.", answer: []Generator{}, example: "/api/v1/generators"},
	{path: "/api/v1/events", says: "Server-sent events: snapshot at every change, and alive.", kind: "text/event-stream", errors: []int{503}},
	{path: "/api/v1/trades/{id}", says: "One trade.", answer: Trade{}, errors: []int{404}, example: "/api/v1/trades/TRADE", wrong: map[string]int{"/api/v1/trades/none": 404}},
	{path: "/api/v1/slots", says: "The slots of a chain that trades by them: what is asked and bid, the one price, what was sold and paid.", answer: Auction{}, errors: []int{404}, example: "/api/v1/slots"},
	{path: "/api/v1/blocks", says: "Up to 100 blocks, ascending. next, if there, is where to go on.", query: []string{"from=the first height (1)"}, answer: struct {
		Blocks []Block `json:"blocks"`
		Next   uint64  `json:"next,omitempty"`
	}{}, errors: []int{400, 500}, example: "/api/v1/blocks?from=1", wrong: map[string]int{"/api/v1/blocks?from=0": 400, "/api/v1/blocks?from=x": 400}},
	{path: "/api/v1/blocks/{height}", says: "One block with its records and what they did.", answer: BlockDetail{}, errors: []int{400, 404, 503}, example: "/api/v1/blocks/HEIGHT", wrong: map[string]int{"/api/v1/blocks/x": 400}},
	{path: "/api/v1/tree.svg", says: "The communication tree of the running view, drawn.", kind: "image/svg+xml", errors: []int{500}, example: "/api/v1/tree.svg"},
	{path: "/api/v1/tree/why", says: "What the trust of a data aggregator stands on.", query: []string{"+da=its id"}, answer: ledger.Standing{}, errors: []int{404}, example: "/api/v1/tree/why?da=da-1", wrong: map[string]int{"/api/v1/tree/why?da=x": 404}},
	{path: "/api/v1/strips", says: "The last 24 hours of up to 60 devices in cells: gate, power, gust.", query: []string{"+of=SITE/ID of a device, repeatable"}, answer: struct {
		Strips []Strip `json:"strips"`
	}{}, errors: []int{400, 503}, example: "/api/v1/strips?of=harbour/pv-1", wrong: map[string]int{"/api/v1/strips": 400, "/api/v1/strips?of=x": 400}},
	{path: "/api/v1/generators/{site}/{id}/history", says: "What was measured at a device over a span.", query: []string{"+span=day, week, month or year"}, answer: Series{}, errors: []int{400, 503}, example: "/api/v1/generators/harbour/pv-1/history?span=day", wrong: map[string]int{"/api/v1/generators/harbour/pv-1/history?span=hour": 400}},
	{path: "/api/v1/trades/{id}/story", says: "The steps of a trade with their blocks and records, newest first. next, if there, is the height to ask below.", query: []string{"before=the height to begin below"}, answer: Story{}, errors: []int{400, 503}, example: "/api/v1/trades/TRADE/story", wrong: map[string]int{"/api/v1/trades/TRADE/story?before=x": 400}},
	{path: "/api/v1/participants/{id}/story", says: "A participant's statement: what blocks did to it, newest first, with next as of trades.", query: []string{"before=the height to begin below"}, answer: Story{}, errors: []int{400, 503}, example: "/api/v1/participants/pv-1/story", wrong: map[string]int{"/api/v1/participants/pv-1/story?before=x": 400}},
	{path: "/api/v1/participants/{id}", says: "A participant with its account (wallet, bond, credit) and its offer.", answer: Participant{}, errors: []int{404, 503}, example: "/api/v1/participants/pv-1", wrong: map[string]int{"/api/v1/participants/none": 404}},
	{path: "/api/v1/search", says: "What a text may mean, best first.", query: []string{"+q=1 to 100 characters"}, answer: struct {
		Found []Found `json:"found"`
	}{}, errors: []int{400, 503}, example: "/api/v1/search?q=pv-1", wrong: map[string]int{"/api/v1/search": 400}},
	{path: "/api/v1/records/{id}/proof", says: "The proof of a record and its outcome, for aggregator chain verify --proof.", answer: map[string]any{}, errors: []int{400, 404, 503}},
	{path: "/api/v1/openapi.json", says: "This description.", answer: map[string]any{}},
	{path: "/healthz", says: "200 while blocks can be agreed on, else 503 and why.", answer: map[string]string{}, errors: []int{503}, example: "/healthz"},
	{path: "/metrics", says: "Metrics for Prometheus.", kind: "text/plain", example: "/metrics"},
}

// A described type may be named; those without a name stand where they are used.
type schemas map[string]any

// of returns the schema of a type.
func (s schemas) of(t reflect.Type) map[string]any {
	switch t.Kind() {
	case reflect.Pointer:
		inner := s.of(t.Elem())
		return map[string]any{"anyOf": []any{inner, map[string]any{"type": "null"}}}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Float32, reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Int, reflect.Int32, reflect.Int64:
		return map[string]any{"type": "integer"}
	case reflect.Uint, reflect.Uint8, reflect.Uint32, reflect.Uint64:
		return map[string]any{"type": "integer", "minimum": 0}
	case reflect.Slice:
		return map[string]any{"type": []any{"array", "null"}, "items": s.of(t.Elem())}
	case reflect.Map:
		return map[string]any{"type": []any{"object", "null"}, "additionalProperties": s.of(t.Elem())}
	case reflect.Struct:
		if t.Name() == "" {
			return s.object(t)
		}
		if _, done := s[t.Name()]; !done {
			s[t.Name()] = nil // a type may hold itself
			s[t.Name()] = s.object(t)
		}
		return map[string]any{"$ref": "#/components/schemas/" + t.Name()}
	}
	return map[string]any{} // an interface: anything
}

func (s schemas) object(t reflect.Type) map[string]any {
	properties, required := map[string]any{}, []any{}
	var add func(t reflect.Type)
	add = func(t reflect.Type) {
		for f := range t.NumField() {
			field := t.Field(f)
			name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
			switch {
			case field.Anonymous && name == "":
				add(field.Type)
				continue
			case !field.IsExported() || name == "-":
				continue
			case name == "":
				name = field.Name
			}
			properties[name] = s.of(field.Type)
			if !strings.Contains(options, "omitempty") && !strings.Contains(options, "omitzero") {
				required = append(required, name)
			}
		}
	}
	add(t)
	return map[string]any{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
}

var pathParameter = regexp.MustCompile(`\{([a-z]+)\}`)

// describeAPI writes the description of the operations.
func describeAPI() map[string]any {
	known := schemas{}
	problemSchema := known.of(reflect.TypeFor[struct {
		Error string `json:"error"`
	}]())
	paths := map[string]any{}
	for _, o := range operations {
		var parameters []any
		for _, m := range pathParameter.FindAllStringSubmatch(o.path, -1) {
			parameters = append(parameters, map[string]any{"name": m[1], "in": "path", "required": true, "schema": map[string]any{"type": "string"}})
		}
		for _, q := range o.query {
			name, says, _ := strings.Cut(strings.TrimPrefix(q, "+"), "=")
			parameters = append(parameters, map[string]any{"name": name, "in": "query", "required": q[0] == '+', "description": says,
				"schema": map[string]any{"type": "string"}})
		}
		content := map[string]any{o.kind: map[string]any{"schema": map[string]any{"type": "string"}}}
		if o.answer != nil {
			content = map[string]any{"application/json": map[string]any{"schema": known.of(reflect.TypeOf(o.answer))}}
		}
		responses := map[string]any{"200": map[string]any{"description": o.says, "content": content}}
		for _, status := range o.errors {
			responses[fmt.Sprint(status)] = map[string]any{"description": http.StatusText(status),
				"content": map[string]any{"application/json": map[string]any{"schema": problemSchema}}}
		}
		get := map[string]any{"summary": o.says, "responses": responses}
		if parameters != nil {
			get["parameters"] = parameters
		}
		paths[o.path] = map[string]any{"get": get}
	}
	return map[string]any{
		"openapi": "3.1.0",
		"info": map[string]any{"title": "fairwatt data aggregator", "version": "1", "license": map[string]any{"name": "Apache-2.0", "identifier": "Apache-2.0"},
			"description": "What one data aggregator sees. Read only. Times are Unix milliseconds, UTC; money is in millionths of the currency unit; energy in Wh."},
		"paths": paths, "components": map[string]any{"schemas": map[string]any(known)},
	}
}

// fits says where a value differs from its schema; empty: nowhere.
func fits(root map[string]any, schema map[string]any, v any, at string) string {
	if ref, ok := schema["$ref"].(string); ok {
		all := root["components"].(map[string]any)["schemas"].(map[string]any)
		named, ok := all[filepath.Base(ref)].(map[string]any)
		if !ok {
			return at + ": no schema " + ref
		}
		return fits(root, named, v, at)
	}
	if some, ok := schema["anyOf"].([]any); ok {
		why := ""
		for _, s := range some {
			if why = fits(root, s.(map[string]any), v, at); why == "" {
				return ""
			}
		}
		return why
	}
	types := []any{schema["type"]}
	if list, ok := schema["type"].([]any); ok {
		types = list
	}
	have := map[reflect.Kind]string{reflect.Map: "object", reflect.Slice: "array", reflect.String: "string", reflect.Bool: "boolean", reflect.Float64: "number"}[reflect.ValueOf(v).Kind()]
	switch {
	case v == nil:
		have = "null"
	case have == "number" && slices.Contains(types, any("integer")) && v.(float64) == float64(int64(v.(float64))):
		have = "integer"
	}
	if schema["type"] != nil && !slices.Contains(types, any(have)) {
		return fmt.Sprintf("%s is a %s, want %v", at, have, types)
	}
	switch v := v.(type) {
	case []any:
		for i, item := range v {
			if why := fits(root, schema["items"].(map[string]any), item, fmt.Sprintf("%s[%d]", at, i)); why != "" {
				return why
			}
		}
	case map[string]any:
		properties, _ := schema["properties"].(map[string]any)
		required, _ := schema["required"].([]any)
		for _, name := range required {
			if _, there := v[name.(string)]; !there {
				return fmt.Sprintf("%s has no %s", at, name)
			}
		}
		for name, value := range v {
			one, ok := properties[name].(map[string]any)
			if !ok {
				if one, ok = schema["additionalProperties"].(map[string]any); !ok && schema["type"] != nil {
					return fmt.Sprintf("%s.%s is not described", at, name)
				}
			}
			if why := fits(root, one, value, at+"."+name); why != "" {
				return why
			}
		}
	}
	return ""
}

// The description names every address that is served and no other, and every answer is
// what it says. FAIRWATT_UPDATE=1 writes it again.
func TestOpenAPI(t *testing.T) {
	want, err := json.MarshalIndent(describeAPI(), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if os.Getenv("FAIRWATT_UPDATE") != "" {
		if err := os.WriteFile("openapi.json", want, 0o644); err != nil {
			t.Fatal(err)
		}
	} else if !bytes.Equal(openAPI, want) {
		t.Error("openapi.json is not what the handlers answer with: FAIRWATT_UPDATE=1 go test ./aggregator/console -run OpenAPI")
	}
	described := map[string]bool{}
	for _, o := range operations {
		described[o.path] = true
	}
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	served := map[string]bool{}
	for _, source := range sources {
		if strings.HasSuffix(source, "_test.go") {
			continue
		}
		b, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`HandleFunc\("GET (/[^"]+)"`).FindAllSubmatch(b, -1) {
			served[string(m[1])] = true
		}
	}
	for path := range served {
		if !described[path] {
			t.Errorf("%s is served and not described", path)
		}
	}
	for path := range described {
		if !served[path] {
			t.Errorf("%s is described and not served", path)
		}
	}
}

// Every answer of a full community is what the description says, refusals too.
func TestOpenAPIAnswers(t *testing.T) {
	var root map[string]any
	if err := json.Unmarshal(openAPI, &root); err != nil {
		t.Fatal(err)
	}
	snap := sample(1_790_000_000_000)
	source := newFixed(snap)
	source.kept = kept{nowMs: snap.TimeMs}
	h := New(source, Options{}).Handler()
	replace := strings.NewReplacer("TRADE", snap.Trades[0].ID, "HEIGHT", fmt.Sprint(snap.Chain.Height))
	for _, o := range operations {
		responses := root["paths"].(map[string]any)[o.path].(map[string]any)["get"].(map[string]any)["responses"].(map[string]any)
		check := func(request string, status int) {
			w := get(t, h, replace.Replace(request))
			response, ok := responses[fmt.Sprint(w.Code)].(map[string]any)
			if w.Code != status || !ok {
				t.Errorf("%s: %d, want %d, described: %v: %s", request, w.Code, status, ok, w.Body)
				return
			}
			kind, _, _ := strings.Cut(w.Header().Get("Content-Type"), ";")
			content, ok := response["content"].(map[string]any)[kind].(map[string]any)
			if !ok {
				t.Errorf("%s: %s is not described", request, kind)
				return
			}
			if kind != "application/json" {
				return
			}
			var v any
			if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
				t.Errorf("%s: %v", request, err)
			} else if why := fits(root, content["schema"].(map[string]any), v, "answer"); why != "" {
				t.Errorf("%s: %s", request, why)
			}
		}
		if o.example != "" {
			check(o.example, http.StatusOK)
		}
		for request, status := range o.wrong {
			check(request, status)
		}
	}
}
