// Command composecheck reads the compose file of the trial in containers as compose would,
// refuses what it does not know, and prints a podman command for each service:
//
//	composecheck -env trial/.env configs/containers/compose.yaml
//
// tools/check-container.sh runs what it prints, so that the file is tried where neither
// compose nor a registry is at hand.
//
// # What it checks
//
// Keys that compose knows and this does not are errors, so that nothing in the file is
// passed over. So are a variable that is not set, a folder that is not there, a service
// that depends on an unknown one or on itself over others, one that runs as root, may
// write to its root or keeps capabilities, and a container that is not on the loopback
// of the broker's.
//
// # What it prints
//
// One line a service, in the order of depends_on: its name, a tab, its image, a tab, and
// the arguments of podman run, quoted for a shell. Networks are left out: the caller gives
// all services one loopback, as network_mode: service:broker does.
package main
