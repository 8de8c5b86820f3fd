//go:build !linux

package kafkatest

import "os/exec"

// dieWithParent needs Linux: elsewhere brokers outlive tests that are killed.
func dieWithParent(*exec.Cmd) {}
