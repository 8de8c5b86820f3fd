//go:build race

package gateway

// raceEnabled tells that pools drop things at random.
const raceEnabled = true
