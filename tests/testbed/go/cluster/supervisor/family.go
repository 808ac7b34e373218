//go:build unix

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// child is a process that was started on command; it leads a group of its own.
type child struct {
	number uint64
	pid    int
}

// death is the end of a child.
type death struct {
	child
	status unix.WaitStatus
}

func (d death) event() event {
	e := event{Event: "exited", Number: d.number, Pid: d.pid}
	if d.status.Signaled() {
		e.Signal = unix.SignalName(d.status.Signal())
	} else {
		code := d.status.ExitStatus()
		e.Code = &code
	}
	return e
}

// family is every living child, in order of start. Used by one goroutine only.
type family struct {
	children []child
}

func newFamily() *family {
	return &family{}
}

func (f *family) start(c command) (int, error) {
	log, err := os.OpenFile(c.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	nothing, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer nothing.Close()
	path, err := exec.LookPath(c.Path)
	if err != nil {
		return 0, err
	}
	pid, err := forkExec(path, append([]string{c.Path}, c.Args...), c.Env, c.Cwd, nothing.Fd(), log.Fd())
	if err != nil {
		return 0, fmt.Errorf("start %s in %s: %w", path, c.Cwd, err)
	}
	f.children = append(f.children, child{number: c.Number, pid: pid})
	return pid, nil
}

// signal reaches the whole group of a child. One that has ended is no error:
// its end is being told already.
func (f *family) signal(number uint64, name string) error {
	signal := unix.SignalNum(name)
	if signal == 0 {
		return fmt.Errorf("no signal is called %q", name)
	}
	for _, c := range f.children {
		if c.number == number {
			return unix.Kill(-c.pid, signal)
		}
	}
	return nil
}

// reap collects everything that has ended, adopted orphans too. The rest of a
// child's group ends with its leader.
func (f *family) reap() []death {
	var deaths []death
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return deaths
		}
		at := slices.IndexFunc(f.children, func(c child) bool { return c.pid == pid })
		if at < 0 {
			continue
		}
		_ = unix.Kill(-pid, unix.SIGKILL)
		deaths = append(deaths, death{child: f.children[at], status: status})
		f.children = slices.Delete(f.children, at, at+1)
	}
}

// patience bounds the wait for processes that were sent SIGKILL: only one that
// hangs in the kernel can take longer.
const patience = 30 * time.Second

// end kills all groups, the last started first (an API server outlives its
// store badly), then whatever orphan has been adopted, until none is left.
func (f *family) end() {
	for _, c := range slices.Backward(f.children) {
		_ = unix.Kill(-c.pid, unix.SIGKILL)
		_ = unix.Kill(-c.pid, unix.SIGCONT)
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		f.reap()
		for _, pid := range orphans() {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		if _, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); errors.Is(err, unix.ECHILD) {
			return
		}
	}
	fmt.Fprintln(os.Stderr, "supervisor: some processes do not die; their folder is removed all the same")
}
