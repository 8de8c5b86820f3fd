package duckdb

import "golang.org/x/sys/unix"

// lowerPriority makes the calling thread give way to others.
func lowerPriority() { _ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), 10) } // as well as it can
