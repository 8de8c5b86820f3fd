//go:build !linux

package redistest

import "os/exec"

// dieWithParent needs Linux: elsewhere servers outlive tests that are killed.
func dieWithParent(*exec.Cmd) {}
