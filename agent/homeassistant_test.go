package agent

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"testing"
)

// homeAssistant is Home Assistant's side of a template, as far as ours use it:
// its documentation, "Templating", as_timestamp and now.
const homeAssistant = `
import datetime, json, sys
from jinja2.sandbox import SandboxedEnvironment
cases = json.load(sys.stdin)
def stamp(value, default=None):
    if isinstance(value, datetime.datetime):
        return value.timestamp()
    try:
        return datetime.datetime.fromisoformat(str(value).replace("Z", "+00:00")).timestamp()
    except ValueError:
        return default
env = SandboxedEnvironment()
env.globals["now"] = lambda: datetime.datetime.fromisoformat("2026-06-01T12:00:00+00:00")
env.globals["as_timestamp"] = stamp
print(json.dumps([str(env.from_string(c["template"]).render(value_json=c["value"])) for c in cases]))
`

// render has Home Assistant's engine fill in templates, each with the value of a message.
func render(t *testing.T, cases any, n int) []string {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3: the templates are not run")
	}
	if err := exec.Command(python, "-c", "import jinja2.sandbox").Run(); err != nil {
		t.Skip("no jinja2 for python3: the templates are not run")
	}
	in, err := json.Marshal(cases)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "-c", homeAssistant)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	var got []string
	if err := json.Unmarshal(out, &got); err != nil || len(got) != n {
		t.Fatalf("%s, %v", out, err)
	}
	return got
}

// Home Assistant shows a gate as safe only while it says OPEN within its
// validity. What it cannot read is unsafe.
func TestHomeAssistantTemplates(t *testing.T) {
	type c struct {
		Template string         `json:"template"`
		Value    map[string]any `json:"value"`
		want     string
	}
	gate := func(state, until string) map[string]any {
		return map[string]any{"state": state, "valid_until": until, "words": []string{"Trading is blocked.", "Gusts are strong."}, "reason": "W03"}
	}
	const soon, over = "2026-06-01T12:01:00.000Z", "2026-06-01T11:59:59.999Z"
	cases := []c{
		{haGateSafe, gate("OPEN", soon), "OFF"},
		{haGateSafe, gate("OPEN", over), "ON"},
		{haGateSafe, gate("OPEN", "2026-06-01T12:00:00.000Z"), "ON"},
		{haGateSafe, gate("BLOCKED", soon), "ON"},
		{haGateSafe, gate("CLEARING", soon), "ON"},
		{haGateSafe, gate("INIT", soon), "ON"},
		{haGateSafe, gate("OPEN", "soon"), "ON"},
		{haGateSafe, map[string]any{"state": "OPEN"}, "ON"},
		{haGateSafe, map[string]any{}, "ON"},
		{haGateState, gate("OPEN", soon), "OPEN"},
		{haGateState, gate("BLOCKED", soon), "BLOCKED"},
		{haGateState, gate("OPEN", over), "UNKNOWN"},
		{haGateWhy, gate("BLOCKED", soon), "Trading is blocked. Gusts are strong."},
		{haGateWhy, map[string]any{"reason": "W03"}, "W03"},
	}
	got := render(t, cases, len(cases))
	for i, c := range cases {
		if got[i] != c.want {
			t.Errorf("%s of %v: %q, want %q", c.Template, c.Value, got[i], c.want)
		}
	}
}
