package wire

// Limits of messages. The broker refuses a message over 1 MiB as well.
const (
	MaxBatchBytes   = 1 << 20 // one RecordBatch
	MaxBatchRecords = 64
	MaxReceiptBytes = 1 << 20
	// MaxReceiptEntries bounds the entries of one receipt. An aggregator that
	// has more to say makes several receipts.
	MaxReceiptEntries = 256
	MaxViewBytes      = 64 << 10
)

// Limits of the evidence in a record or a view.
const (
	MaxCauses      = 32
	MaxCauseInputs = 32  // of one cause
	MaxTextBytes   = 512 // a text written for people, in a record
)
