package cap

import (
	"fmt"
	"strings"

	"fairwatt/proto/brief"
)

// set of the elements that may stand once.
func once(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}

var (
	alertOnce = once("identifier", "sender", "sent", "status", "msgType", "source", "scope", "restriction",
		"addresses", "note", "references", "incidents")
	infoOnce = once("language", "event", "urgency", "severity", "certainty", "audience", "effective", "onset",
		"expires", "senderName", "headline", "description", "instruction", "web", "contact")
	areaOnce = once("areaDesc", "altitude", "ceiling")
	pairOnce = once("valueName", "value")
)

func (p *parser) alert(a *Alert) error {
	return p.children("alert", alertOnce, func(name string) error {
		texts := map[string]*string{
			"identifier": &a.Identifier, "sender": &a.Sender, "status": &a.Status, "msgType": &a.MsgType,
			"source": &a.Source, "scope": &a.Scope, "restriction": &a.Restriction, "addresses": &a.Addresses,
			"note": &a.Note, "incidents": &a.Incidents,
		}
		if dst, ok := texts[name]; ok {
			return p.set(dst)
		}
		switch name {
		case "sent":
			return p.time(&a.Sent)
		case "code":
			return p.add(&a.Codes)
		case "references":
			return p.references(&a.References)
		case "info":
			if len(a.Infos) == maxInfos {
				return fmt.Errorf("more than %d", maxInfos)
			}
			a.Infos = append(a.Infos, Info{})
			return p.info(&a.Infos[len(a.Infos)-1])
		}
		return errUnknown
	})
}

func (p *parser) references(dst *[]Reference) error {
	s, err := p.text()
	if err != nil {
		return err
	}
	for _, f := range strings.Fields(s) {
		parts := strings.Split(f, ",")
		if len(parts) != 3 {
			return fmt.Errorf("%s is no sender,identifier,sent", brief.Quote(f))
		}
		sent, err := parseTime(parts[2])
		if err != nil {
			return err
		}
		*dst = append(*dst, Reference{parts[0], parts[1], sent})
	}
	return nil
}

func (p *parser) info(in *Info) error {
	areas := 0
	return p.children("info", infoOnce, func(name string) error {
		texts := map[string]*string{
			"language": &in.Language, "event": &in.Event, "urgency": &in.Urgency, "severity": &in.Severity,
			"certainty": &in.Certainty, "audience": &in.Audience, "senderName": &in.SenderName,
			"headline": &in.Headline, "description": &in.Description, "instruction": &in.Instruction,
			"web": &in.Web, "contact": &in.Contact,
		}
		if dst, ok := texts[name]; ok {
			return p.set(dst)
		}
		switch name {
		case "category":
			return p.add(&in.Categories)
		case "responseType":
			return p.add(&in.ResponseTypes)
		case "effective":
			return p.timeOrNone(name, &in.Effective)
		case "onset":
			return p.timeOrNone(name, &in.Onset)
		case "expires":
			return p.time(&in.Expires)
		case "eventCode":
			return p.pair(&in.EventCodes)
		case "parameter":
			return p.pair(&in.Parameters)
		case "resource": // maps and sounds; nothing a judgement needs
			return p.skip()
		case "area":
			if areas++; areas > maxAreas {
				return fmt.Errorf("more than %d", maxAreas)
			}
			in.Areas = append(in.Areas, Area{})
			return p.area(&in.Areas[len(in.Areas)-1])
		}
		return errUnknown
	})
}

func (p *parser) area(a *Area) error {
	return p.children("area", areaOnce, func(name string) error {
		switch name {
		case "areaDesc":
			return p.set(&a.Desc)
		case "altitude":
			return p.set(&a.Altitude)
		case "ceiling":
			return p.set(&a.Ceiling)
		case "geocode":
			return p.pair(&a.Geocodes)
		case "polygon":
			s, err := p.text()
			if err != nil || s == "" { // some senders leave it empty
				return err
			}
			g, err := parsePolygon(s)
			a.Polygons = append(a.Polygons, g)
			return err
		case "circle":
			s, err := p.text()
			if err != nil || s == "" {
				return err
			}
			c, err := parseCircle(s)
			a.Circles = append(a.Circles, c)
			return err
		}
		return errUnknown
	})
}

func (p *parser) pair(dst *[]Pair) error {
	var v Pair
	err := p.children("named value", pairOnce, func(name string) error {
		switch name {
		case "valueName":
			return p.set(&v.Name)
		case "value":
			return p.set(&v.Value)
		}
		return errUnknown
	})
	*dst = append(*dst, v)
	return err
}
