//go:build unix && !linux

package main

import "syscall"

// adoptOrphans does nothing: only Linux has subreapers. What leaves its group
// on another system is not taken down.
func adoptOrphans() {}

func orphans() []int { return nil }

func forkExec(path string, argv, env []string, cwd string, in, out uintptr) (int, error) {
	return syscall.ForkExec(path, argv, &syscall.ProcAttr{
		Dir:   cwd,
		Env:   env,
		Files: []uintptr{in, out, out},
		Sys:   &syscall.SysProcAttr{Setpgid: true},
	})
}
