// Package console shows what one data aggregator sees: a web page, a JSON
// API, server-sent events and metrics, all read-only.
//
// # What a caller does
//
// Implement [Source] (the aggregator does), hand it to [New], and either mount
// [Server.Handler] or call [Server.Serve] with a listener. A Source answers
// from any goroutine and returns snapshots that it never changes afterwards.
// Everything in a snapshot is shown to anyone who can reach the port: put
// pseudonyms in it, never real identities. [Listen] refuses an address beyond
// loopback unless told otherwise, since the page asks no one who they are.
// Beyond one machine put it behind a reverse proxy that does.
//
// # Addresses
//
//	GET /                     the page
//	GET /api/v1/snapshot      the whole Snapshot
//	GET /api/v1/generators    its generators alone
//	GET /api/v1/trades/{id}   one trade
//	GET /api/v1/blocks?from=  up to 100 blocks, ascending, with next
//	GET /api/v1/tree.svg      the communication tree of the running view, drawn
//	GET /api/v1/events        server-sent events: "snapshot", id = version, and "alive"
//	GET /api/v1/openapi.json  all of this, OpenAPI 3.1
//	GET /healthz              200 while blocks can be agreed on, else 503 and why
//	GET /metrics              Prometheus text
//
// # Design
//
// The page is three static files in the binary: no framework, no build step,
// nothing fetched from elsewhere, and a content security policy that allows no
// inline script or style. Text from participants reaches the page only as text
// nodes. A gate is never shown by colour alone. It is shown as open only while
// wire.Sight says so; a page whose event stream dies shows every gate as unknown
// and itself in grey.
//
// A snapshot is encoded once a version however many browsers listen; slow
// clients skip versions, since each event is the whole state. That costs bytes
// (a few kB twice a second) and saves every kind of delta error.
//
// Refused: WebSockets (one direction is enough), a templating engine, charts of
// history (the metrics endpoint feeds a tool made for that), and any command:
// looking must not be enough to act.
package console
