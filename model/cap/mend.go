package cap

import (
	"fmt"
	"slices"
	"strings"

	"fairwatt/proto/brief"
)

// maxOddities bounds what is kept of what was passed over.
const maxOddities = 20

// odd notes that something on which no judgement hangs was passed over.
func (a *Alert) odd(format string, args ...any) {
	if a.OddCount++; len(a.Oddities) < maxOddities {
		a.Oddities = append(a.Oddities, fmt.Sprintf(format, args...))
	}
}

// mend puts right what senders write and the standard does not have, where no
// decision hangs on it, and notes each. A word that is not known where one of a
// list belongs becomes the list's word for "not known", which warns at least.
func (a *Alert) mend() {
	a.Status, a.MsgType = fold(a.Status, statuses), fold(a.MsgType, msgTypes)
	scope := fold(a.Scope, scopes)
	if !slices.Contains(scopes, scope) || scope == "Restricted" && a.Restriction == "" || scope == "Private" && a.Addresses == "" {
		a.odd("scope %s", brief.Quote(a.Scope))
		scope = "Public"
	}
	a.Scope = scope
	if a.MsgType == "Update" && len(a.References) == 0 {
		a.odd("an Update that names nothing")
		a.MsgType = "Alert"
	}
	for i := range a.Infos {
		a.mendInfo(&a.Infos[i])
	}
}

func (a *Alert) mendInfo(in *Info) {
	for i, c := range in.Categories {
		if in.Categories[i] = fold(c, categories); !slices.Contains(categories, in.Categories[i]) {
			a.odd("category %s", brief.Quote(c))
			in.Categories[i] = "Other"
		}
	}
	if len(in.Categories) == 0 {
		a.odd("no category")
		in.Categories = []string{"Other"}
	}
	for i, r := range in.ResponseTypes {
		in.ResponseTypes[i] = fold(r, responses)
	}
	in.ResponseTypes = slices.DeleteFunc(in.ResponseTypes, func(r string) bool {
		known := slices.Contains(responses, r)
		if !known {
			a.odd("responseType %s", brief.Quote(r))
		}
		return !known
	})
	if len(in.ResponseTypes) == 0 {
		in.ResponseTypes = nil
	}
	if in.Event == "" {
		a.odd("no event")
		in.Event = "event without a name"
	}
	if strings.EqualFold(in.Certainty, "Very Likely") { // CAP 1.2, 3.2.2, note 2
		in.Certainty = "Likely"
	}
	for _, f := range []struct {
		name  string
		value *string
		of    []string
	}{{"urgency", &in.Urgency, urgencies}, {"severity", &in.Severity, severities}, {"certainty", &in.Certainty, certainty}} {
		was := *f.value
		if *f.value = fold(was, f.of); !slices.Contains(f.of, *f.value) {
			a.odd("%s %s", f.name, brief.Quote(was))
			*f.value = "Unknown"
		}
	}
	for i := range in.Areas {
		if in.Areas[i].Desc == "" {
			a.odd("no areaDesc")
			in.Areas[i].Desc = "area without a name"
		}
	}
}

// fold returns the word of a list that is value but for the case of its
// letters, or value.
func fold(value string, of []string) string {
	for _, w := range of {
		if strings.EqualFold(w, value) {
			return w
		}
	}
	return value
}
