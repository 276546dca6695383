package console

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
)

// A family is what a scraper may know of a metric: text exposition format 0.0.4.
type family struct{ kind, help string }

// families names every metric of this program. One that is not in it has no place on
// the page: a test compares them.
var families = map[string]family{
	"fairwatt_build_info": {"gauge", "Version of this data aggregator; always 1."},
	"fairwatt_da_up":      {"gauge", "1 while this data aggregator takes part, 0 after a fault."},
	"fairwatt_da_certificate_end_timestamp_seconds": {"gauge", "When the TLS certificate ends, in seconds since 1970."},
	"fairwatt_cert_expiry_seconds":                  {"gauge", "Time until a certificate ends: the data aggregator's own, and the authority's (ca)."},
	"fairwatt_da_certificate_days_left":             {"gauge", "Days until the TLS certificate ends."},
	"fairwatt_da_height":                            {"gauge", "Height of the newest block stored."},
	"fairwatt_da_epoch":                             {"gauge", "Epoch of the agreement."},
	"fairwatt_da_agreement_view":                    {"gauge", "View of the agreement; each accounting node that is deposed raises it."},
	"fairwatt_da_block_timestamp_seconds":           {"gauge", "Time of the newest block, in seconds since 1970."},
	"fairwatt_da_chain_records_total":               {"counter", "Records in all blocks."},
	"fairwatt_da_agreement_view_changes_total":      {"counter", "Times that the accounting node was replaced, since the start."},
	"fairwatt_da_receipts_total":                    {"counter", "Outcomes told to senders, since the start."},
	"fairwatt_da_trades":                            {"gauge", "Trades on the chain by status."},
	"fairwatt_da_voting":                            {"gauge", "1 if this data aggregator votes."},
	"fairwatt_da_quorum":                            {"gauge", "Members that a block needs."},
	"fairwatt_da_members_reachable":                 {"gauge", "Members heard of late, this one included."},
	"fairwatt_da_last_vote_timestamp_seconds":       {"gauge", "Time of this data aggregator's last vote; 0 before the first."},
	"fairwatt_da_peer_height":                       {"gauge", "Height that another data aggregator says it has."},
	"fairwatt_da_peer_heard_timestamp_seconds":      {"gauge", "When another data aggregator was last heard."},
	"fairwatt_da_peer_voted_timestamp_seconds":      {"gauge", "When another data aggregator last voted."},
	"fairwatt_da_peer_refused_total":                {"counter", "Messages of another data aggregator that broke the rules."},
	"fairwatt_da_peer_cut_off":                      {"gauge", "1 while another data aggregator is not listened to."},
	"fairwatt_da_brokers":                           {"gauge", "MQTT brokers that are configured."},
	"fairwatt_da_broker_connected":                  {"gauge", "MQTT brokers that are connected."},
	"fairwatt_da_records_received_total":            {"counter", "Records that came in."},
	"fairwatt_da_records_accepted_total":            {"counter", "Records handed to the agreement."},
	"fairwatt_da_records_duplicate_total":           {"counter", "Records that were there already."},
	"fairwatt_da_records_dropped_total":             {"counter", "Records not looked at, for want of room; senders send again."},
	"fairwatt_da_senders_put_off_total":             {"counter", "Times that a sender was told to wait."},
	"fairwatt_da_records_refused_total":             {"counter", "Records refused, by code."},
	"fairwatt_da_blocks_forwarded_total":            {"counter", "Blocks handed on down the tree."},
	"fairwatt_da_blocks_pulled_total":               {"counter", "Blocks fetched past the tree."},
	"fairwatt_da_blocks_missed_total":               {"counter", "Blocks that did not come by the tree."},
	"fairwatt_da_device_views_malformed_total":      {"counter", "Views of devices that could not be read."},
	"fairwatt_da_records_pending":                   {"gauge", "Records that wait for a block."},
	"fairwatt_da_commit_seconds":                    {"summary", "Time from a record's arrival to its block, by quantile of the newest ones."},
	"fairwatt_da_block_commit_seconds":              {"histogram", "Time to check, store and apply an agreed block."},
	"fairwatt_da_record_to_block_seconds":           {"histogram", "Time from a record's arrival until its block is on disk."},
	"fairwatt_da_broker_delivery_seconds":           {"histogram", "Time from a message to a broker until its acknowledgement."},
	"fairwatt_da_http_request_seconds":              {"histogram", "Time to answer a request of the page or the API, by route; streams are left out."},
	"fairwatt_da_broker_up":                         {"gauge", "1 while this broker is connected."},
	"fairwatt_da_broker_connects_total":             {"counter", "Connections to this broker since the start, the first included."},
	"fairwatt_da_data_bytes":                        {"gauge", "Size of a file, or of all in a folder, of the data folder."},
	"fairwatt_da_disk_free_bytes":                   {"gauge", "Room that is left on the data folder's file system."},
	"fairwatt_da_disk_size_bytes":                   {"gauge", "Size of the data folder's file system."},
	"fairwatt_da_nowcast_senders":                   {"gauge", "Agents that tell the weather now."},
	"fairwatt_da_nowcasts_taken_total":              {"counter", "Nowcasts that held and were new."},
	"fairwatt_da_nowcasts_duplicate_total":          {"counter", "Nowcasts that were there already."},
	"fairwatt_da_nowcasts_dropped_total":            {"counter", "Nowcasts not looked at, for want of room."},
	"fairwatt_da_nowcasts_handed_total":             {"counter", "Nowcasts handed to agents."},
	"fairwatt_da_nowcast_deliveries_total":          {"counter", "Messages of nowcasts to agents."},
	"fairwatt_da_nowcasts_refused_total":            {"counter", "Nowcasts refused, by code."},
	"fairwatt_gate_open":                            {"gauge", "1 if a device's gate is open and its word still holds."},
	"fairwatt_gate_state":                           {"gauge", "1 at the state that a device's gate counts as."},
	"fairwatt_agent_last_seen_timestamp_seconds":    {"gauge", "When a device was last heard, in seconds since 1970."},
	"fairwatt_hazard_probability_ratio":             {"gauge", "The network's score of a hazard, 0 to 1."},
}

// writeFamilies copies metrics with a HELP and a TYPE line before each family, whose
// lines are put together where they were apart: a family may stand in one place only.
// What has comments of its own keeps them.
func writeFamilies(w io.Writer, plain []byte) error {
	var order []string
	lines := make(map[string][]string)
	scan := bufio.NewScanner(bytes.NewReader(plain))
	scan.Buffer(nil, len(plain)+1)
	for scan.Scan() {
		line := scan.Text()
		name := nameOf(line)
		if name == "" {
			continue
		}
		if _, seen := lines[name]; !seen {
			order = append(order, name)
		}
		lines[name] = append(lines[name], line)
	}
	if err := scan.Err(); err != nil {
		return fmt.Errorf("read metrics: %w", err)
	}
	for _, name := range order {
		if f, ok := families[name]; ok {
			if _, err := fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", name, f.help, name, f.kind); err != nil {
				return err
			}
		}
		if _, err := io.WriteString(w, strings.Join(lines[name], "\n")+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// nameOf returns the family of a line; empty for a blank or a comment.
func nameOf(line string) string {
	if line == "" || line[0] == '#' {
		return ""
	}
	name := line
	if end := strings.IndexAny(name, "{ "); end >= 0 {
		name = name[:end]
	}
	for _, part := range []string{"_bucket", "_sum", "_count"} {
		if base, ok := strings.CutSuffix(name, part); ok && families[base].kind == "histogram" {
			return base
		}
	}
	return name
}
