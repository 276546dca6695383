package aggregator

import "syscall"

// roomOf says how much may still be written to the file system of a folder, and its
// size, in bytes; 0 where it cannot be asked.
func roomOf(dir string) (free, size uint64) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil || s.Bsize <= 0 {
		return 0, 0
	}
	return s.Bavail * uint64(s.Bsize), s.Blocks * uint64(s.Bsize)
}
