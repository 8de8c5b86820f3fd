//go:build !linux

package duckdb

// lowerPriority does nothing: a priority belongs to the process here.
func lowerPriority() {}
