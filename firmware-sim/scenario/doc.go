// Package scenario makes up coherent days: sun, clouds, wind, rain, pressure, and
// the generator and grid on which they act. They feed the simulated boards, and
// replace recordings that may not be shipped. All of it says that it is made up:
// traces carry simulated: true, their source names this generator and the seed,
// and channels added to a recording are listed as composed.
//
// # What a caller must do
//
//  1. Name a scenario (Names), a seed, an interval and a span: the same four
//     give the same rows.
//  2. Read a row's time as the end of its interval, as in the recordings of
//     weather services. The row has means of wind, irradiance and power, the
//     largest gust, the sum of rain and flashes.
//  3. Use one Composer per trace, with rows in order: its meter counts energy.
//
// # How a day is made
//
// Weather steps at a minute or finer. Solar elevation follows Spencer (1971),
// clear-sky irradiance Haurwitz (1945), dimming by cloud Kasten and Czeplak
// (1980). Cloud, wind and the slow parts of temperature and dew point are
// Ornstein-Uhlenbeck processes, so a longer or shorter step changes the noise but
// not its statistics. Humidity follows from temperature and dew point by Magnus'
// formula. Pressure carries the semi-diurnal tide. The gust is the largest 3-s
// mean, from the mean wind and a gust factor. Events (Squall, Sag, Storm,
// Cyclone) act on these quantities, never on the written rows, so the rows stay
// coherent. The cyclone has the pressure and gradient wind of Holland (1980). Its
// centre passes so close to the place that the calm eye passes over it.
//
// Then a Composer, the same that completes recordings, computes the electrical
// channels from each row's weather: a plant's power, its voltage, the current
// that follows, and the energy on its meter. Faults of the plant (LostString,
// HotBearing) act there. Only MeterDrift changes a written value: a wrong reading
// is what that fault is. LostString needs a PV plant and HotBearing a turbine:
// with the other kind the day is fair.
//
// # What was refused
//
// A sag shorter than an interval cannot be seen in its rows, so a sag lasts at
// least four intervals, however long those are. So do faults. There is no
// asymmetry of a cyclone beyond that of its motion, no spectrum of a bearing or
// of turbulence, and no grid model: no reader of these traces looks for them. And
// these traces prove no skill: rules and weather have the same author.
package scenario
