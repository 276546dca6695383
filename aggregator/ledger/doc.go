// Package ledger holds the rules of the chain: which record and which block is
// valid, and what it changes.
package ledger
