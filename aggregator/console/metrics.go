package console

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"sort"
	"strings"

	"github.com/VictoriaMetrics/metrics"

	"fairwatt/proto/wire"
)

// metrics writes the newest snapshot in the Prometheus text format. Values are
// taken at the scrape, so that page and metrics cannot disagree.
func (s *Server) metrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	var own bytes.Buffer
	snap := s.src.Snapshot()
	writeSnapshot(&own, snap)
	writeMeasures(&own, s.src.Measures(), snap.TimeMs)
	s.answers.write(&own)
	if err := writeFamilies(w, own.Bytes()); err != nil {
		return // the client is gone: no one is left to tell
	}
	if s.opts.Metrics != nil {
		s.opts.Metrics(w)
	}
	metrics.WriteProcessMetrics(w)
}

func writeSnapshot(w io.Writer, s *Snapshot) {
	metrics.WriteGaugeUint64(w, fmt.Sprintf("fairwatt_build_info{version=%q}", s.Software), 1)
	up := uint64(1)
	if s.Fault != "" {
		up = 0
	}
	metrics.WriteGaugeUint64(w, "fairwatt_da_up", up)
	if s.CertificateEndsMs > 0 {
		metrics.WriteGaugeFloat64(w, "fairwatt_da_certificate_end_timestamp_seconds", float64(s.CertificateEndsMs)/1000)
		metrics.WriteGaugeFloat64(w, fmt.Sprintf("fairwatt_cert_expiry_seconds{id=%q}", s.DA), float64(s.CertificateEndsMs-s.TimeMs)/1000)
		metrics.WriteGaugeFloat64(w, "fairwatt_da_certificate_days_left", float64(s.CertificateEndsMs-s.TimeMs)/(24*60*60*1000))
	}
	writeChain(w, s)
	writeAgreement(w, s)
	writeCounters(w, &s.Counters)
	writeNowcasts(w, &s.Nowcasts)
	for i := range s.Generators {
		writeGenerator(w, &s.Generators[i])
	}
}

func writeChain(w io.Writer, s *Snapshot) {
	c := &s.Chain
	metrics.WriteGaugeUint64(w, "fairwatt_da_height", c.Height)
	metrics.WriteGaugeUint64(w, "fairwatt_da_epoch", c.Epoch)
	metrics.WriteGaugeUint64(w, "fairwatt_da_agreement_view", c.View)
	metrics.WriteGaugeFloat64(w, "fairwatt_da_block_timestamp_seconds", float64(c.TimeMs)/1000)
	metrics.WriteCounterUint64(w, "fairwatt_da_chain_records_total", c.Records)
	metrics.WriteCounterUint64(w, "fairwatt_da_agreement_view_changes_total", c.ViewChanges)
	metrics.WriteCounterUint64(w, "fairwatt_da_receipts_total", c.Receipts)
	for _, status := range sortedKeys(s.TradeCount) {
		metrics.WriteGaugeUint64(w, fmt.Sprintf("fairwatt_da_trades{status=%q}", status), uint64(s.TradeCount[status]))
	}
}

func writeAgreement(w io.Writer, s *Snapshot) {
	a := &s.Agreement
	voting := uint64(0)
	if a.Voting {
		voting = 1
	}
	metrics.WriteGaugeUint64(w, "fairwatt_da_voting", voting)
	metrics.WriteGaugeUint64(w, "fairwatt_da_quorum", uint64(a.Quorum))
	metrics.WriteGaugeUint64(w, "fairwatt_da_members_reachable", uint64(a.Reachable))
	metrics.WriteGaugeFloat64(w, "fairwatt_da_last_vote_timestamp_seconds", float64(a.LastVoteMs)/1000)
	for _, p := range a.Peers {
		cut := uint64(0)
		if p.CutOffMs > s.TimeMs {
			cut = 1
		}
		metrics.WriteGaugeUint64(w, fmt.Sprintf("fairwatt_da_peer_height{peer=%q}", p.ID), p.Height)
		metrics.WriteGaugeFloat64(w, fmt.Sprintf("fairwatt_da_peer_heard_timestamp_seconds{peer=%q}", p.ID), float64(p.HeardMs)/1000)
		metrics.WriteGaugeFloat64(w, fmt.Sprintf("fairwatt_da_peer_voted_timestamp_seconds{peer=%q}", p.ID), float64(p.VotedMs)/1000)
		metrics.WriteCounterUint64(w, fmt.Sprintf("fairwatt_da_peer_refused_total{peer=%q}", p.ID), p.Refused)
		metrics.WriteGaugeUint64(w, fmt.Sprintf("fairwatt_da_peer_cut_off{peer=%q}", p.ID), cut)
	}
}

func writeCounters(w io.Writer, c *Counters) {
	metrics.WriteGaugeUint64(w, "fairwatt_da_brokers", uint64(max(c.Brokers, 0)))
	metrics.WriteGaugeUint64(w, "fairwatt_da_broker_connected", uint64(max(c.BrokersConnected, 0)))
	metrics.WriteCounterUint64(w, "fairwatt_da_records_received_total", c.Received)
	metrics.WriteCounterUint64(w, "fairwatt_da_records_accepted_total", c.Accepted)
	metrics.WriteCounterUint64(w, "fairwatt_da_records_duplicate_total", c.Duplicates)
	metrics.WriteCounterUint64(w, "fairwatt_da_records_dropped_total", c.Dropped)
	metrics.WriteCounterUint64(w, "fairwatt_da_senders_put_off_total", c.PutOff)
	for _, code := range sortedKeys(c.Refused) {
		metrics.WriteCounterUint64(w, fmt.Sprintf("fairwatt_da_records_refused_total{code=%q}", code), c.Refused[code])
	}
	metrics.WriteCounterUint64(w, "fairwatt_da_blocks_forwarded_total", c.Forwarded)
	metrics.WriteCounterUint64(w, "fairwatt_da_blocks_pulled_total", c.Pulled)
	metrics.WriteCounterUint64(w, "fairwatt_da_blocks_missed_total", c.Missed)
	metrics.WriteCounterUint64(w, "fairwatt_da_device_views_malformed_total", c.BadViews)
	metrics.WriteGaugeUint64(w, "fairwatt_da_records_pending", uint64(max(c.Pending, 0)))
	for _, q := range []struct {
		label string
		ms    float64
	}{{"0.5", c.ATCT.P50}, {"0.95", c.ATCT.P95}, {"0.99", c.ATCT.P99}} {
		metrics.WriteGaugeFloat64(w, fmt.Sprintf("fairwatt_da_commit_seconds{quantile=%q}", q.label), q.ms/1000)
	}
}

func writeNowcasts(w io.Writer, n *Nowcasts) {
	metrics.WriteGaugeUint64(w, "fairwatt_da_nowcast_senders", uint64(max(n.Count, 0)))
	metrics.WriteCounterUint64(w, "fairwatt_da_nowcasts_taken_total", n.Taken)
	metrics.WriteCounterUint64(w, "fairwatt_da_nowcasts_duplicate_total", n.Duplicates)
	metrics.WriteCounterUint64(w, "fairwatt_da_nowcasts_dropped_total", n.Dropped)
	metrics.WriteCounterUint64(w, "fairwatt_da_nowcasts_handed_total", n.Handed)
	metrics.WriteCounterUint64(w, "fairwatt_da_nowcast_deliveries_total", n.Deliveries)
	for _, code := range sortedKeys(n.Refused) {
		metrics.WriteCounterUint64(w, fmt.Sprintf("fairwatt_da_nowcasts_refused_total{code=%q}", code), n.Refused[code])
	}
}

func writeGenerator(w io.Writer, g *Generator) {
	shown := g.State
	device := fmt.Sprintf("site=%q,device=%q", g.Site, g.ID)
	open := uint64(0)
	if shown == wire.GateOpen {
		open = 1
	}
	metrics.WriteGaugeUint64(w, "fairwatt_gate_open{"+device+"}", open)
	for _, state := range wire.SeenStates {
		v := uint64(0)
		if shown == state {
			v = 1
		}
		metrics.WriteGaugeUint64(w, fmt.Sprintf("fairwatt_gate_state{%s,state=%q}", device, strings.ToLower(state)), v)
	}
	metrics.WriteGaugeFloat64(w, "fairwatt_agent_last_seen_timestamp_seconds{"+device+"}", float64(g.LastSeenMs)/1000)
	for _, kind := range sortedKeys(g.Scores) {
		metrics.WriteGaugeFloat64(w, fmt.Sprintf("fairwatt_hazard_probability_ratio{%s,kind=%q}", device, kind), g.Scores[kind])
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
