// Package person says what a person may be called, and what a reason may look
// like, in the words that agents act on, keep and put on the chain.
//
// A name is shown on screens and written into logs and blocks. So it is short,
// valid UTF-8, not blank, and free of characters that move the cursor, break a line
// or turn the direction of writing. Agents and the ledger ask the same functions.
//
// The characters are listed by number. The tables of package unicode were refused:
// they change with the version of Go, and members of a chain must agree for ever.
package person
