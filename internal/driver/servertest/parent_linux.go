package servertest

import (
	"os/exec"
	"syscall"
)

// DieWithParent ends the process also when the tests are killed.
func DieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
