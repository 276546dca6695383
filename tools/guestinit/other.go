//go:build !linux || !arm

package main

func main() { panic("guestinit runs on Linux and 32-bit ARM only") }
