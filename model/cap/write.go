package cap

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
	"time"
)

// AppendXML appends the message as CAP 1.2 XML in the order of its schema. It
// fails for a message that Parse would refuse.
func (a *Alert) AppendXML(b []byte) ([]byte, error) {
	if err := a.Validate(); err != nil {
		return b, fmt.Errorf("write CAP: %w", err)
	}
	w := writer{b: append(b, xml.Header...)}
	w.open(`alert xmlns="` + Namespace + `"`)
	w.text("identifier", a.Identifier)
	w.text("sender", a.Sender)
	w.text("sent", formatTime(a.Sent))
	w.text("status", a.Status)
	w.text("msgType", a.MsgType)
	w.text("source", a.Source)
	w.text("scope", a.Scope)
	w.text("restriction", a.Restriction)
	w.text("addresses", a.Addresses)
	w.texts("code", a.Codes)
	w.text("note", a.Note)
	refs := make([]string, len(a.References))
	for i, r := range a.References {
		refs[i] = r.Sender + "," + r.Identifier + "," + formatTime(r.Sent)
	}
	w.text("references", strings.Join(refs, " "))
	w.text("incidents", a.Incidents)
	for i := range a.Infos {
		w.info(&a.Infos[i])
	}
	w.close("alert")
	return w.b, nil
}

// formatTime writes whole seconds with an offset; CAP wants -00:00 for UTC.
func formatTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05") + "-00:00" }

type writer struct{ b []byte }

func (w *writer) open(tag string)  { w.b = append(append(append(w.b, '<'), tag...), ">\n"...) }
func (w *writer) close(tag string) { w.b = append(append(append(w.b, "</"...), tag...), ">\n"...) }

// text writes an element unless it is empty.
func (w *writer) text(name, value string) {
	if value == "" {
		return
	}
	w.b = append(append(append(w.b, '<'), name...), '>')
	var esc bytes.Buffer
	xml.EscapeText(&esc, []byte(value)) // a bytes.Buffer does not fail
	w.b = append(w.b, esc.Bytes()...)
	w.close(name)
}

func (w *writer) texts(name string, values []string) {
	for _, v := range values {
		w.text(name, v)
	}
}

func (w *writer) time(name string, t time.Time) {
	if !t.IsZero() {
		w.text(name, formatTime(t))
	}
}

func (w *writer) pairs(name string, pairs []Pair) {
	for _, p := range pairs {
		w.open(name)
		w.text("valueName", p.Name)
		w.text("value", p.Value)
		w.close(name)
	}
}

func (w *writer) info(in *Info) {
	w.open("info")
	w.text("language", in.Language)
	w.texts("category", in.Categories)
	w.text("event", in.Event)
	w.texts("responseType", in.ResponseTypes)
	w.text("urgency", in.Urgency)
	w.text("severity", in.Severity)
	w.text("certainty", in.Certainty)
	w.text("audience", in.Audience)
	w.pairs("eventCode", in.EventCodes)
	w.time("effective", in.Effective)
	w.time("onset", in.Onset)
	w.time("expires", in.Expires)
	w.text("senderName", in.SenderName)
	w.text("headline", in.Headline)
	w.text("description", in.Description)
	w.text("instruction", in.Instruction)
	w.text("web", in.Web)
	w.text("contact", in.Contact)
	w.pairs("parameter", in.Parameters)
	for i := range in.Areas {
		a := &in.Areas[i]
		w.open("area")
		w.text("areaDesc", a.Desc)
		for _, p := range a.Polygons {
			w.text("polygon", p.String())
		}
		for _, c := range a.Circles {
			w.text("circle", c.String())
		}
		w.pairs("geocode", a.Geocodes)
		w.text("altitude", a.Altitude)
		w.text("ceiling", a.Ceiling)
		w.close("area")
	}
	w.close("info")
}
