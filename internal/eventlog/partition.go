package eventlog

import "github.com/cespare/xxhash/v2"

func partitionOf(user string, n int) int {
	return int(xxhash.Sum64String(user) % uint64(n))
}
