// Package meters holds register maps of devices that speak Modbus, one YAML file
// each, in evcc's words. A sensor of kind modbus names one by its file's name
// without the ending.
//
// # A file
//
// device names maker and type. baudrate and comset are the serial line's as the
// device leaves the factory; timeout and connect_delay are what it needs. type and
// decode are those of registers that do not say theirs. Each of registers has a channel
// of the trace format, a register (address from 0, type, decode), and a scale that makes
// the channel's unit of the number. The comment at
// the head names the maker's document. Power is positive in the direction in which
// the device counts it.
//
// # Adding one
//
// A new file needs its simulated device in firmware-sim/modbusdevice, written from
// the maker's document and not from the file: a test reads each map from its device
// and compares every value.
//
// # Design
//
// The files are part of the program, so that a name means the same registers
// wherever the program runs, and the version of the program says which. Refused: a
// folder of files beside the configuration. It would change what a meter means
// without a trace in the configuration's hash.
package meters
