//go:build !linux

package mongotest

import "os/exec"

// dieWithParent needs Linux: elsewhere servers outlive tests that are killed.
func dieWithParent(*exec.Cmd) {}
