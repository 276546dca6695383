package main

import (
	"fairwatt/model"
	"fairwatt/model/nnet"
)

// places are the cities whose traces do not say where they are, in degrees to two
// decimals.
var places = func() map[string]model.Position {
	out := map[string]model.Position{}
	for site, p := range map[string][2]float64{
		"Albuquerque": {35.08, -106.65}, "Beersheba": {31.25, 34.79}, "Boston": {42.36, -71.06}, "Charlotte": {35.23, -80.84},
		"Chicago": {41.85, -87.65}, "Dallas": {32.78, -96.81}, "Detroit": {42.33, -83.05}, "Eilat": {29.56, 34.95},
		"Haifa": {32.82, 34.99}, "Houston": {29.76, -95.36}, "Indianapolis": {39.77, -86.16}, "Jerusalem": {31.77, 35.22},
		"Kansas City": {39.10, -94.58}, "Las Vegas": {36.17, -115.15}, "Minneapolis": {44.98, -93.26}, "Montreal": {45.51, -73.59},
		"Nahariyya": {33.01, 35.09}, "Nashville": {36.17, -86.78}, "New York": {40.71, -74.01}, "Philadelphia": {39.95, -75.16},
		"Phoenix": {33.45, -112.07}, "Pittsburgh": {40.44, -80.00}, "Portland": {45.52, -122.68}, "Saint Louis": {38.63, -90.20},
		"San Antonio": {29.42, -98.49}, "San Diego": {32.72, -117.16}, "San Francisco": {37.77, -122.42}, "Seattle": {47.61, -122.33},
		"Tel Aviv District": {32.08, 34.80}, "Toronto": {43.70, -79.42}, "Vancouver": {49.25, -123.12},
	} {
		out[nnet.SiteKey(site)] = model.Position{Latitude: p[0], Longitude: p[1]}
	}
	return out
}()

// placeOf is where a trace was taken: as it says, else as its city is known.
func placeOf(says model.Position, ok bool, site string) (model.Position, bool) {
	if ok {
		return says, true
	}
	p, ok := places[nnet.SiteKey(site)]
	return p, ok
}
