package main

// The floors, from the ground up. both stands above the two sides.
const (
	ground = iota
	edges
	loops
	both
	mains
)

// A side is the part of the system that a package belongs to.
type side string

const (
	middle     side = "the middle"
	agents     side = "the agent's side"
	aggregates side = "the aggregator's side"
)

// A room is a package's place.
type room struct {
	floor int
	side  side
	pure  bool // no clock, network, file, goroutine or random number
	tests bool // for tests only
	plain bool // generated messages: a pure package may import it
}

// A house is what the checks compare the tree with.
type house struct {
	rooms    map[string]room      // by path from the module's folder
	allowed  map[exception]string // why an impure thing may stand in a pure package
	across   map[exception]string // why one package may import another against the rules
	doors    map[string]string    // by what is behind it: the only package, with those below it, that imports it
	tags     []string             // build tags whose files are checked too
	plan     string               // the page that names every package
	topLevel []string             // names, as path.Match has it
}

// An exception is one thing that one package may use.
type exception struct{ pkg, uses string }

// fairwatt is this house.
var fairwatt = house{
	rooms: map[string]room{
		// What both sides say, and the judgement that needs nothing.
		"model":                {floor: ground, side: middle, pure: true},
		"model/trace":          {floor: ground, side: middle, pure: true},
		"model/trace/comtrade": {floor: ground, side: middle, pure: true},
		"model/trace/weather":  {floor: ground, side: middle, pure: true},
		"model/waveform":       {floor: ground, side: middle, pure: true},
		"model/neighbours":     {floor: ground, side: middle, pure: true},
		"model/cap":            {floor: ground, side: middle, pure: true},
		"proto/fairwattpb":     {floor: ground, side: middle, plain: true},
		"proto/peerpb":         {floor: ground, side: middle, plain: true},
		"proto/seal":           {floor: ground, side: middle, pure: true},
		"proto/wire":           {floor: ground, side: middle, pure: true},
		"proto/members":        {floor: ground, side: middle, pure: true},
		"proto/nowcast":        {floor: ground, side: middle, pure: true},
		"proto/brief":          {floor: ground, side: middle, pure: true},
		"proto/person":         {floor: ground, side: middle, pure: true},
		"proto/strictyaml":     {floor: ground, side: middle, pure: true},
		"model/nnet/skill":     {floor: ground, side: middle},
		"model/nnet/stretch":   {floor: ground, side: middle},
		"configs/meters":       {floor: ground, side: middle},
		"model/faultdoc":       {floor: ground, side: middle, tests: true},

		"proto/boltfile":        {floor: edges, side: middle},
		"proto/certfile":        {floor: edges, side: middle},
		"proto/durable":         {floor: edges, side: middle},
		"proto/loopback":        {floor: edges, side: middle},
		"proto/systemd":         {floor: edges, side: middle},
		"proto/mqtt":            {floor: edges, side: middle},
		"proto/mqtt/mqtttest":   {floor: edges, side: middle, tests: true},
		"model/nnet":            {floor: edges, side: middle},
		"model/nnet/line":       {floor: edges, side: middle},
		"model/replayplot":      {floor: edges, side: middle},
		"firmware-sim/board":    {floor: edges, side: middle},
		"firmware-sim/scenario": {floor: edges, side: middle},
		"firmware-sim/sunspec":  {floor: edges, side: middle},

		"firmware-sim/modbusdevice": {floor: edges, side: middle},

		"agent/trade":               {floor: ground, side: agents, pure: true},
		"agent/receipt":             {floor: ground, side: agents, pure: true},
		"agent/view":                {floor: ground, side: agents, pure: true},
		"agent/word":                {floor: ground, side: agents, pure: true},
		"agent/socket":              {floor: edges, side: agents},
		"agent/receipt/receipttest": {floor: ground, side: agents, tests: true},
		"agent/contactor":           {floor: ground, side: agents, pure: true},
		"agent/contactor/drive":     {floor: edges, side: agents},
		"agent/modbus":              {floor: edges, side: agents},
		"agent/replay":              {floor: edges, side: agents},
		"agent/outbox":              {floor: edges, side: agents},
		"agent/sensor":              {floor: edges, side: agents},
		"agent/sensor/simbus":       {floor: edges, side: agents},
		"agent/sensor/sensortest":   {floor: edges, side: agents, tests: true},
		"agent":                     {floor: loops, side: agents},
		"agent/cmd/agent":           {floor: mains, side: agents},

		"aggregator/wct":               {floor: ground, side: aggregates, pure: true},
		"aggregator/ledger":            {floor: ground, side: aggregates, pure: true},
		"aggregator/ledger/slot":       {floor: ground, side: aggregates, pure: true},
		"aggregator/ledger/ledgertest": {floor: ground, side: aggregates, tests: true},
		"aggregator/consensus/book":    {floor: ground, side: aggregates, pure: true},
		"aggregator/consensus/guard":   {floor: ground, side: aggregates, pure: true},
		"aggregator/reconcile":         {floor: ground, side: aggregates, pure: true},
		"aggregator/wct/experiment":    {floor: edges, side: aggregates},
		"aggregator/consensus":         {floor: edges, side: aggregates},
		"aggregator/snapshot":          {floor: edges, side: aggregates},
		"aggregator/consensus/lockup":  {floor: edges, side: aggregates},
		"aggregator/consensus/pool":    {floor: edges, side: aggregates},
		"aggregator/consensus/wal":     {floor: edges, side: aggregates},
		"aggregator/console":           {floor: edges, side: aggregates},
		"aggregator/exchange":          {floor: edges, side: aggregates},
		"aggregator/history":           {floor: edges, side: aggregates},
		"aggregator/intake":            {floor: edges, side: aggregates},
		"aggregator/page":              {floor: edges, side: aggregates},
		"aggregator/peer":              {floor: edges, side: aggregates},
		"aggregator/peer/peertest":     {floor: edges, side: aggregates, tests: true},
		"aggregator/receipt":           {floor: edges, side: aggregates},
		"aggregator/store":             {floor: edges, side: aggregates},
		"aggregator":                   {floor: loops, side: aggregates},
		"aggregator/mc":                {floor: loops, side: aggregates},
		"aggregator/cmd/aggregator":    {floor: mains, side: aggregates},

		"firmware-sim/grid": {floor: both, side: middle},
		"firmware-sim/soak": {floor: both, side: middle},
		"firmware-sim":      {floor: mains, side: middle},
		"model/cmd/model":   {floor: mains, side: middle},
	},
	allowed: map[exception]string{
		{"proto/seal", "math/rand/v2"}:               "ChaCha8 seeded by the batch itself: the same batch is judged the same everywhere",
		{"model/trace", "os"}:                        "Open and Read take the name of a file; everything else takes a reader",
		{"model/trace/comtrade", "os"}:               "the same, and a .cfg file names its .dat file",
		{"model/trace/weather", "time.LoadLocation"}: "a map may name the zone of a file's local times",
	},
	across: map[exception]string{
		{"firmware-sim/board", "agent/sensor/simbus"}: "the board answers what the agent's end of its socket asks; their frames stand once",
	},
	doors: map[string]string{
		"gorgonia.org":                         "model/nnet",
		"github.com/hyperledger-labs/SmartBFT": "aggregator/consensus",
	},
	tags: []string{"lite"},
	plan: "docs/design.md",
	topLevel: []string{
		"agent", "aggregator", "model", "firmware-sim", "proto", "configs", "docs", "tools", ".ci", ".git*",
		"go.mod", "go.sum", "Makefile", "README.md", "LICENSE", "NOTICE",
	},
}
