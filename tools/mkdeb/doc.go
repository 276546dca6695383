// Mkdeb builds the Debian packages of the agent and the aggregator.
//
// For each architecture it builds the programs as `make arm` does, writes shell
// completions and manual pages from what the programs say of themselves, collects the
// licences of all modules that they link, and packs what configs/deb/*.yaml list
// (nfpm, https://nfpm.goreleaser.com/configuration). The date of the newest commit
// stands in all files, so that the same commit gives the same packages.
//
// armhf is built for ARMv6, so that one package serves every Raspberry Pi.
package main
