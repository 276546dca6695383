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
//	GET /api/v1/trades/{id}/story?before=        what blocks say of it, newest first
//	GET /api/v1/participants/{id}                money, credit, offer
//	GET /api/v1/participants/{id}/story?before=  what blocks say of it
//	GET /api/v1/generators/{site}/{id}/history?span=day|week|month|year
//	GET /api/v1/strips?of=SITE/ID&of=...         the last 24 hours of up to 60 devices
//	GET /api/v1/blocks/{height}                  one block with its records and what it did
//	GET /api/v1/records/{id}/proof               what "aggregator chain verify --proof" takes
//	GET /api/v1/search?q=                        generators, participants, trades, blocks, records
//	GET /api/v1/blocks?from=  up to 100 blocks, ascending, with next
//	GET /api/v1/tree.svg      the communication tree of the running view, drawn
//	GET /api/v1/events        server-sent events: "snapshot", id = version, and "alive"
//	GET /api/v1/openapi.json  all of this, OpenAPI 3.1
//	GET /healthz              200 while blocks can be agreed on, else 503 and why
//	GET /metrics              Prometheus text
//
// # Design
//
// The page is static files in the binary, packed once: no framework, no build step,
// nothing fetched from elsewhere, and a content security policy that allows no
// inline script or style. Charts are drawn by uPlot 1.6.32 (static/uplot.js, MIT,
// https://github.com/leeoniya/uPlot), as it is released. Text from participants reaches
// the page only as text nodes. A gate is never shown by colour alone. It is shown as
// open only while wire.Sight says so; a page whose event stream dies shows every gate as
// unknown and itself in grey.
//
// Pages of a generator, a trade, a block or a participant have addresses after the #, so
// that the page works below any path of a reverse proxy. They ask the addresses of
// archive.go, which answer from what the aggregator keeps beside the chain.
//
// A snapshot is encoded and packed once for all streams, at most once in MinInterval,
// and more rarely where that takes long; slow clients skip versions, since each event is
// the whole state. That costs bytes (14 kB packed for a thousand generators) and saves
// every kind of delta error. A packed stream is one gzip stream of pieces that refer to
// nothing before them.
//
// Refused: WebSockets (one direction is enough), a templating engine, real
// paths for pages (relative addresses would break below a proxy's path), and any command:
// looking must not be enough to act.
package console
