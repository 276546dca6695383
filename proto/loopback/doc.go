// Package loopback finds ports on 127.0.0.1 for servers that are stopped and started
// again while other programs run: the soak's data aggregators, and the brokers and
// aggregators of tests.
//
// The caller binds the ports soon: nothing holds them. Two callers draw at random, so
// that they seldom draw alike.
//
// A port that the system hands out ("127.0.0.1:0") does not do for that: it is of the
// range from which outgoing connections get theirs, and while its server is down any
// connection of any program may take it. These ports lie below that range. An address
// of 127.0.0.0/8 for each server would do as well, and was refused: certificates name
// 127.0.0.1.
package loopback
