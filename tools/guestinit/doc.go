// Command guestinit is the first process of a small Linux machine in an emulator,
// in which a test tries the agent on a real kernel (tools/check-kernel.sh). It
// mounts what a program needs, loads the modules of /modules.list in that order,
// gives eth0 the address 10.0.2.15, and then does what its console says, a line
// each:
//
//	run PROGRAM ARGUMENTS...    runs it to its end and says "exit CODE"
//	start PROGRAM ARGUMENTS...  runs it meanwhile and says "started"
//	kill SIGNAL                 sends that to the started one and says "exit CODE"
//	time SECONDS                sets the clock to that time of 1970 and says "set"
//	list PATTERN                says "found" and the files that match
//	poweroff                    ends the machine
//
// What it says itself begins with "guest: "; everything else on the console is of
// the kernel and of the programs.
package main
