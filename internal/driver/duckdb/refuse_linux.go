package duckdb

/*
#cgo LDFLAGS: -Wl,--wrap=duckdb_je_malloc -Wl,--wrap=duckdb_je_realloc
void heed_refuse(int on);
*/
import "C"

import (
	"fmt"
	"os"
)

// refuse makes large allocations of the engine fail, until they may again.
func refuse(on bool) {
	n := C.int(0)
	if on {
		n = 1
	}
	C.heed_refuse(n)
}

// resident is the memory of the process, of files not counted, in bytes.
func resident() (int64, error) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	var size, all, shared int64
	if _, err := fmt.Sscan(string(text), &size, &all, &shared); err != nil {
		return 0, fmt.Errorf("read /proc/self/statm: %w", err)
	}
	return (all - shared) * int64(os.Getpagesize()), nil
}
