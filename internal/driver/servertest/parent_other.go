//go:build !linux

package servertest

import "os/exec"

// DieWithParent needs Linux: elsewhere servers outlive tests that are killed.
func DieWithParent(*exec.Cmd) {}
