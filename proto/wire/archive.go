package wire

import "errors"

// ErrArchived is in the error of a call for a block that a data aggregator keeps no more:
// [fairwatt/aggregator/store] says it, links carry it, and who asked goes elsewhere.
var ErrArchived = errors.New("it is older than those kept here")
