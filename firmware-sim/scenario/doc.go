// Package scenario makes up days that hang together: sun, clouds, wind, rain,
// pressure, and the generator and grid they act on. They feed the simulated
// boards and are replayed where no recording may be shipped. Everything made
// here says so: traces carry simulated: true, their source names this
// generator and the seed, and channels added to a recording are listed as
// composed.
//
// # What a caller must do
//
//  1. Name a scenario (Names), a seed, an interval and a span: the same four
//     give the same rows.
//  2. Read a row's time as the end of the interval that it describes, as in
//     the recordings of weather services: means of wind, irradiance and power,
//     the largest gust, the sum of rain and flashes.
//  3. Use one Composer per trace, rows in order: its meter counts energy.
//
// # How a day is made
//
// Weather is stepped at a minute or finer: solar elevation from the
// almanac formulas of Spencer (1971), clear-sky irradiance by Haurwitz (1945),
// dimmed by cloud by Kasten and Czeplak (1980); cloud, wind and the slow parts
// of temperature and dew point are Ornstein-Uhlenbeck processes, so a longer
// or shorter step changes the noise but not its statistics. Humidity follows
// from temperature and dew point by Magnus' formula; pressure carries the
// semi-diurnal tide. The gust is the largest 3-s mean, from the mean wind and a
// gust factor. Events (Squall, Sag, Storm, Cyclone) act on those quantities,
// never on the written rows, so the rows stay coherent. The cyclone has the
// pressure and gradient wind of Holland (1980); its centre moves past the place
// so closely that the calm eye passes over it.
//
// Electrical channels are then computed from each row's own weather by the same
// Composer that completes recordings: a plant's power, the voltage it meets,
// the current that follows, the energy its meter has counted. Faults of the
// plant (LostString, HotBearing) act there; a MeterDrift alone changes a
// value that is written, because that is what it does. LostString needs a PV
// plant and HotBearing a turbine: with the other kind the day is fair.
//
// # What was refused
//
// A sag shorter than an interval cannot be seen in its rows, so the sag lasts
// at least four intervals, however long those are; so do faults. No asymmetry
// of a cyclone beyond its own motion, no spectrum of a bearing or of turbulence
// and no grid model: nothing that reads these traces looks for them. No skill
// may be claimed from them either: rules and weather here share an author.
package scenario
