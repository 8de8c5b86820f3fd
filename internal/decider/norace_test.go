//go:build !race

package decider

const underRace = false
