package model

// A hazard is one thing that can go wrong, and all that the judge knows of it.
// Each has one file. It holds the hazard's limits, defaults and ranges, its
// memory, what it takes from a sample, its deadlines, its rules and their
// sentences. A new hazard is a new file and a line in the list below. It has
// also a line in memory if it remembers something, and one in Config if it has
// settings. Every field but rules may be nil.
type hazard struct {
	defaults func(c *Config)
	fields   func(c *Config) []field // the range of each number
	orders   func(c *Config) []order // which number must not be above which
	start    func(e *evidence)       // sets the memory up
	take     func(e *evidence, s *Sample, tMs int64)
	// deadline returns the next moment after tMs at which a rule may say
	// something else although no sample comes, or never.
	deadline func(e *evidence, tMs int64) int64
	rules    []rule
	absent   []Unserved // rules, or parts of them, that no channel can feed
}

// hazards lists them in the order in which they take a sample: one that reads
// another's memory stands after it. The wind, cyclone and squall figures come
// before the cross checks of sensorHazard, which compare gust and mean; what
// those checks refuse is not counted by the hazards after them.
var hazards = [...]hazard{
	windHazard,
	cycloneHazard,
	squallHazard,
	sensorHazard,
	keptHazard,
	personHazard,
	gridHazard,
	overloadHazard,
	qualityHazard,
	earthHazard,
	plantHazard,
	inverterHazard,
	contactorHazard,
	lightningHazard,
	icingHazard,
	networkHazard,
	warningHazard,
}

// memory is what the hazards remember.
type memory struct {
	wind      wind
	cyclone   cyclone
	squall    squall
	sensor    sensor
	kept      kept
	block     block
	grid      grid
	overload  overload
	quality   quality
	earth     earth
	plant     plant
	contactor contactor
	lightning lightning
	icing     icing
	network   network
	warnings  warnings
}
