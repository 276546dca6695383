// Command housecheck fails if the tree breaks a rule of the house:
//
//   - An import goes down or stays on its floor, and none runs between the agent's
//     side and the aggregator's. Every package stands on a floor.
//   - A pure package uses no clock, file, network, goroutine, random number or
//     shared lock, and imports only pure packages and generated messages.
//   - A package for tests is imported by tests only.
//   - A library with a door is imported by the door's package alone.
//   - Every package has a package comment; no file is longer than 600 lines and no
//     function longer than 80, tests aside.
//   - The top level holds known names only, and no file names a path of one machine.
//   - A path, a link or a function that the docs name is there, and docs/design.md
//     names every package.
//
// The imports are checked without and with each build tag of the house.
//
// The tables are in house.go. A package that a table names and the tree lacks is
// no error: moves come in steps.
//
// What the agent links is checked by agent/cmd/agent/deps_test.go.
//
// # Tests climb
//
// A test may import packages of a higher floor: it plays the world above its
// package (a simulated board, a management centre). A test of the shared middle may
// import either side. A test of one side still imports nothing of the other.
//
// # Design
//
// The imports come from `go list`; purity is judged on the type-checked syntax
// tree, so that an alias or a method value hides nothing. Refused: depguard and
// go-arch-lint. Their configuration does not know sides or purity, and they bring
// a linter runner with them.
package main
