package cap

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"fairwatt/proto/brief"
)

// Namespace is CAP 1.2's.
const Namespace = "urn:oasis:names:tc:emergency:cap:1.2"

// An Alert is one CAP message. Empty fields are absent.
type Alert struct {
	Identifier  string
	Sender      string
	Sent        time.Time
	Status      string // Actual, Exercise, System, Test, Draft
	MsgType     string // Alert, Update, Cancel, Ack, Error
	Source      string
	Scope       string // Public, Restricted, Private
	Restriction string // with Restricted
	Addresses   string // with Private
	Codes       []string
	Note        string
	References  []Reference // with Update, Cancel, Ack, Error
	Incidents   string
	Infos       []Info
	// Oddities is what Parse passed over or mended because no decision hangs on
	// it, the first of them; OddCount counts all. They are not written.
	Oddities []string
	OddCount int
}

// A Reference names an earlier message.
type Reference struct {
	Sender     string
	Identifier string
	Sent       time.Time
}

// An Info is one description of the event, in one language.
type Info struct {
	Language      string
	Categories    []string
	Event         string
	ResponseTypes []string
	Urgency       string // Immediate, Expected, Future, Past, Unknown
	Severity      string // Extreme, Severe, Moderate, Minor, Unknown
	Certainty     string // Observed, Likely, Possible, Unlikely, Unknown
	Audience      string
	EventCodes    []Pair
	Effective     time.Time
	Onset         time.Time
	Expires       time.Time
	SenderName    string
	Headline      string
	Description   string
	Instruction   string
	Web           string
	Contact       string
	Parameters    []Pair
	Areas         []Area
}

// A Pair is a named value (eventCode, parameter, geocode).
type Pair struct{ Name, Value string }

// An Area is where an Info holds: anywhere in its polygons and circles.
type Area struct {
	Desc     string
	Polygons []Polygon
	Circles  []Circle
	Geocodes []Pair
	Altitude string // feet above mean sea level, as given
	Ceiling  string
}

var (
	statuses   = []string{"Actual", "Exercise", "System", "Test", "Draft"}
	msgTypes   = []string{"Alert", "Update", "Cancel", "Ack", "Error"}
	scopes     = []string{"Public", "Restricted", "Private"}
	categories = []string{"Geo", "Met", "Safety", "Security", "Rescue", "Fire", "Health", "Env", "Transport", "Infra", "CBRNE", "Other"}
	responses  = []string{"Shelter", "Evacuate", "Prepare", "Execute", "Avoid", "Monitor", "Assess", "AllClear", "None"}
	urgencies  = []string{"Immediate", "Expected", "Future", "Past", "Unknown"}
	severities = []string{"Extreme", "Severe", "Moderate", "Minor", "Unknown"}
	certainty  = []string{"Observed", "Likely", "Possible", "Unlikely", "Unknown"}
)

// Validate checks required elements, enumerations and conditional elements,
// and names what is wrong.
func (a *Alert) Validate() error {
	for _, f := range []struct{ name, value string }{
		{"identifier", a.Identifier}, {"sender", a.Sender},
	} {
		if f.value == "" || strings.ContainsAny(f.value, " ,<&\t\r\n") {
			return fmt.Errorf("%s: %s is empty or holds a space, comma, < or &", f.name, brief.Quote(f.value))
		}
	}
	if a.Sent.IsZero() {
		return errors.New("sent: missing")
	}
	for _, f := range []struct {
		name, value string
		of          []string
	}{{"status", a.Status, statuses}, {"msgType", a.MsgType, msgTypes}, {"scope", a.Scope, scopes}} {
		if err := oneOf(f.name, f.value, f.of); err != nil {
			return err
		}
	}
	switch {
	case a.Scope == "Restricted" && a.Restriction == "":
		return errors.New("restriction: required when scope is Restricted")
	case a.Scope == "Private" && a.Addresses == "":
		return errors.New("addresses: required when scope is Private")
	case a.MsgType != "Alert" && len(a.References) == 0:
		return fmt.Errorf("references: required when msgType is %s", a.MsgType)
	}
	for i := range a.Infos {
		if err := a.Infos[i].validate(); err != nil {
			return fmt.Errorf("info %d: %w", i+1, err)
		}
	}
	return nil
}

func (in *Info) validate() error {
	if len(in.Categories) == 0 {
		return errors.New("category: missing")
	}
	for _, c := range in.Categories {
		if err := oneOf("category", c, categories); err != nil {
			return err
		}
	}
	for _, r := range in.ResponseTypes {
		if err := oneOf("responseType", r, responses); err != nil {
			return err
		}
	}
	if in.Event == "" {
		return errors.New("event: missing")
	}
	for _, f := range []struct {
		name, value string
		of          []string
	}{{"urgency", in.Urgency, urgencies}, {"severity", in.Severity, severities}, {"certainty", in.Certainty, certainty}} {
		if err := oneOf(f.name, f.value, f.of); err != nil {
			return err
		}
	}
	for i := range in.Areas {
		if in.Areas[i].Desc == "" {
			return fmt.Errorf("area %d: areaDesc: missing", i+1)
		}
		for _, p := range in.Areas[i].Polygons {
			if err := p.validate(); err != nil {
				return fmt.Errorf("area %d: polygon: %w", i+1, err)
			}
		}
		for _, c := range in.Areas[i].Circles {
			if err := c.validate(); err != nil {
				return fmt.Errorf("area %d: circle: %w", i+1, err)
			}
		}
	}
	return nil
}

func oneOf(name, value string, of []string) error {
	if !slices.Contains(of, value) {
		return fmt.Errorf("%s: %s is none of %s", name, brief.Quote(value), strings.Join(of, ", "))
	}
	return nil
}
