package mc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"fairwatt/proto/brief"
	"fairwatt/proto/seal"
	"fairwatt/proto/wire"
)

// rights are the topics that a user of the broker may read and write, as MQTT filters.
// Mosquitto's list and that of the NATS servers are both written from them.
type rights struct{ read, write []string }

// deviceRights let a device write below its own topics except what comes down to it. No
// one writes a device's commands before AdmitOwner.
func deviceRights(id string) (r rights) {
	device := wire.Topics{Site: "+", Device: id}
	for _, class := range wire.DeviceReads {
		r.read = append(r.read, device.Of(class))
	}
	for _, class := range wire.DeviceWrites {
		r.write = append(r.write, device.Of(class))
	}
	r.read = append(r.read, wire.HomeAssistantStatus, wire.Warnings+"#")
	r.write = append(r.write, wire.Discovery(id))
	return r
}

// aggregatorRights let a data aggregator write what it hands to devices alone.
func aggregatorRights(id string) rights {
	return rights{read: []string{wire.Root + "#"}, write: wire.AggregatorWrites(id)}
}

// ownerRights let an owner hear the devices of a site and send them commands. That a
// command is the owner's is for the device to check: it is sealed.
func ownerRights(site string) rights {
	devices := wire.Topics{Site: site, Device: "+"}
	r := rights{read: []string{devices.Of("#")}}
	for _, class := range wire.Commands {
		r.write = append(r.write, devices.Of(class))
	}
	return r
}

// viewerRights let a person or a program read what devices show of themselves, at one
// site or at all, and write nothing but that Home Assistant has started.
func viewerRights(site string) (r rights) {
	if site == "" {
		site = "+"
	}
	devices := wire.Topics{Site: site, Device: "+"}
	for _, class := range wire.DeviceShows {
		r.read = append(r.read, devices.Of(class))
	}
	r.read = append(r.read, wire.StatusOfDA("+"), wire.ListOfDA("+"), wire.HomeAssistant+"#")
	r.write = []string{wire.HomeAssistantStatus} // devices describe themselves again
	return r
}

// warnerRights let a program write warnings of the weather, and nothing else: a grave one closes
// gates.
func warnerRights() rights { return rights{write: []string{wire.Warnings + "#"}} }

// A brokerUser is one whom the broker knows by a certificate.
type brokerUser struct {
	id   string
	role Role
	rights
}

// AdmitDevice adds a device to the list of the NATS servers in the community's folder. In
// Mosquitto's list a pattern names every device; so does nothing in that of NATS.
func AdmitDevice(dir, id string) error {
	return admit(dir, "admit device", brokerUser{id, RoleAgent, deviceRights(id)})
}

// AdmitOwner adds an owner of a site to the broker's access list in the community's
// folder. The broker has to read the list again.
func AdmitOwner(dir, id, site string) error {
	if !seal.ValidName(site) {
		return brief.Errorf("admit owner: site %q: use 1 to 64 of a-z, 0-9 and -", site)
	}
	return admit(dir, "admit owner", brokerUser{id, RoleOwner, ownerRights(site)})
}

// AdmitViewer adds one who only reads, at one site or at all (empty).
func AdmitViewer(dir, id, site string) error {
	if site != "" && !seal.ValidName(site) {
		return brief.Errorf("admit viewer: site %q: use 1 to 64 of a-z, 0-9 and -", site)
	}
	return admit(dir, "admit viewer", brokerUser{id, RoleViewer, viewerRights(site)})
}

// AdmitWarner adds one who hands on official warnings of the weather.
func AdmitWarner(dir, id string) error {
	return admit(dir, "admit warner", brokerUser{id, RoleWarner, warnerRights()})
}

// AdmitAggregator adds a data aggregator that joins.
func AdmitAggregator(dir, id string) error {
	return admit(dir, "admit data aggregator", brokerUser{id, RoleDA, aggregatorRights(id)})
}

// BrokerList is the file in the community's folder that says who may do what at its
// broker, below that folder.
func BrokerList(dir string) string {
	if onNATS(dir) {
		return filepath.Join(brokerFolder, NATSUsersFile)
	}
	return filepath.Join(brokerFolder, aclFile)
}

func onNATS(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, brokerFolder, NATSUsersFile))
	return err == nil
}

// admit adds a new user to the list of the folder's broker.
func admit(dir, doing string, who brokerUser) error {
	if !seal.ValidName(who.id) {
		return brief.Errorf("%s: id %q: use 1 to 64 of a-z, 0-9 and -", doing, who.id)
	}
	edit := who.inACL
	if onNATS(dir) {
		edit = who.inNATS
	} else if who.role == RoleAgent {
		edit = who.unlessRevoked
	}
	return editList(filepath.Join(dir, BrokerList(dir)), doing, edit)
}

// Revoke keeps a user from reading and writing at the broker of the community's folder,
// whatever certificate it shows, once the broker has read its list again. NATS servers
// end its connection and let it in no more: their list names who may come. Mosquitto lets
// in whom ca.crt vouches for, so its list gets a line that denies this one everything.
func Revoke(dir, id string) error {
	if !seal.ValidName(id) {
		return brief.Errorf("revoke: id %q: use 1 to 64 of a-z, 0-9 and -", id)
	}
	return editList(filepath.Join(dir, BrokerList(dir)), "revoke", func(list string) (string, error) {
		if !onNATS(dir) {
			return aclWithout(list, id) + "\nuser " + id + "\n" + denied, nil
		}
		kept := natsWithout(list, id)
		if kept == list {
			return "", brief.Errorf("names no %q", id)
		}
		return kept, nil
	})
}

// Readmit lets a device that Revoke kept out read and write again.
func Readmit(dir, id string) error {
	if onNATS(dir) {
		return AdmitDevice(dir, id)
	}
	if !seal.ValidName(id) {
		return brief.Errorf("readmit: id %q: use 1 to 64 of a-z, 0-9 and -", id)
	}
	return editList(filepath.Join(dir, BrokerList(dir)), "readmit", func(list string) (string, error) {
		if !strings.Contains(list, "\nuser "+id+"\n"+denied) {
			return "", brief.Errorf("does not keep %q out", id)
		}
		return aclWithout(list, id), nil
	})
}

// denied goes before the patterns in Mosquitto, which looks at a user's own lines first.
const denied = "topic deny #\n"

// aclWithout is Mosquitto's list without the lines of one user.
func aclWithout(list, id string) string {
	var b strings.Builder
	theirs := false
	for line := range strings.Lines(list) {
		words := strings.Fields(line)
		if len(words) > 0 && words[0] == "user" {
			theirs = slices.Equal(words, []string{"user", id})
		} else if len(words) > 0 && words[0] == "pattern" {
			theirs = false
		}
		if !theirs {
			b.WriteString(line)
		}
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// editList writes a list again in one step. What the edit refuses leaves it as it is.
func editList(path, doing string, edit func(list string) (string, error)) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	list, err := edit(string(b))
	if err != nil {
		return fmt.Errorf("%s: %s %w", doing, path, err)
	}
	if err := replaceFile(path, []byte(list)); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

var (
	errNamed   = errors.New("already; take its lines out first")
	errRevoked = errors.New("as revoked; take its lines out first, or use another id")
)

// mosquittoACL is the access list of a new community.
func mosquittoACL(c *Community) string {
	var b strings.Builder
	b.WriteString("# The user is the common name of the client's certificate.\n")
	b.WriteString(deviceRights("%u").acl("pattern"))
	for _, da := range c.DAs {
		b.WriteString(brokerUser{da.ID, RoleDA, aggregatorRights(da.ID)}.acl())
	}
	return b.String()
}

// acl is the rights in Mosquitto's words.
func (r rights) acl(kind string) string {
	var b strings.Builder
	for _, filter := range r.read {
		fmt.Fprintf(&b, "%s read %s\n", kind, filter)
	}
	for _, filter := range r.write {
		fmt.Fprintf(&b, "%s write %s\n", kind, filter)
	}
	return b.String()
}

func (u brokerUser) acl() string { return "\nuser " + u.id + "\n" + u.rights.acl("topic") }

// again says whether a list names a user already just as it would be named now. A device
// or an aggregator may get a second certificate; a person's rights are looked at first.
func (u brokerUser) again(list, lines string) bool {
	return (u.role == RoleAgent || u.role == RoleDA) && strings.Contains(list, lines)
}

// unlessRevoked leaves Mosquitto's list as it is: a pattern names every device. One that
// was revoked stays so until a person has taken its lines out.
func (u brokerUser) unlessRevoked(list string) (string, error) {
	if strings.Contains(list, "\nuser "+u.id+"\n"+denied) {
		return "", fmt.Errorf("names %s %w", u.id, errRevoked)
	}
	return list, nil
}

// inACL adds the user's lines to Mosquitto's list.
func (u brokerUser) inACL(list string) (string, error) {
	if u.again(list, u.acl()) {
		return list, nil
	}
	for line := range strings.Lines(list) {
		if slices.Equal(strings.Fields(line), []string{"user", u.id}) {
			return "", fmt.Errorf("names %s %w", u.id, errNamed)
		}
	}
	return list + u.acl(), nil
}
