//go:build unix

// The supervisor owns every process of a cluster and the folder they work in.
//
// It is driven by JSON lines: commands on standard input, answers and events on
// standard output. When standard input closes, because its owner is done or
// has died in whatever way, it ends all processes, removes the folder and exits.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

func init() {
	// The death signal of a child is bound to the thread that started it. The
	// main goroutine starts them all, and the main thread lives to the end.
	runtime.LockOSThread()
}

// command is one line of standard input.
type command struct {
	// Number is chosen by the sender; answers carry it. The number of a start
	// names the child from then on.
	Number uint64 `json:"number"`
	// Do is "start", "signal" or "keep".
	Do string `json:"do"`

	// Of start. Env is the whole environment; Log takes both output streams.
	Path string   `json:"path"`
	Args []string `json:"args"`
	Env  []string `json:"env"`
	Cwd  string   `json:"cwd"`
	Log  string   `json:"log"`

	// Of signal: the number of the child and the name of the signal.
	Child  uint64 `json:"child"`
	Signal string `json:"signal"`
}

// event is one line of standard output.
type event struct {
	// Event is "ready", "done", "failed" or "exited".
	Event  string `json:"event"`
	Number uint64 `json:"number"`
	Dir    string `json:"dir,omitempty"`
	Pid    int    `json:"pid,omitempty"`
	Error  string `json:"error,omitempty"`
	// Of exited: exactly one of the two.
	Code   *int   `json:"code,omitempty"`
	Signal string `json:"signal,omitempty"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "supervisor:", err)
		os.Exit(1)
	}
}

func run() error {
	// Caught, not ignored: what is ignored would stay ignored in the children.
	// Ctrl-C reaches the whole foreground group; only the owner may act on it.
	// A broken pipe shows as a failed write.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE)
	terminate := make(chan os.Signal, 1)
	signal.Notify(terminate, syscall.SIGTERM)
	died := make(chan os.Signal, 1)
	signal.Notify(died, syscall.SIGCHLD)

	adoptOrphans()
	dir, err := os.MkdirTemp("", "testbed-")
	if err != nil {
		return fmt.Errorf("make the working folder: %w", err)
	}
	family := newFamily()
	out := json.NewEncoder(os.Stdout)
	// An owner that no longer reads is about to close standard input.
	say := func(e event) { _ = out.Encode(e) }
	say(event{Event: "ready", Dir: dir})

	commands := make(chan command)
	go readCommands(commands)
	keep := false
	for open := true; open; {
		select {
		case <-terminate:
			open = false
		case <-died:
			for _, ended := range family.reap() {
				say(ended.event())
			}
		case c, more := <-commands:
			if !more {
				open = false
				break
			}
			if c.Do == "keep" {
				keep = true
			}
			say(answer(family, c))
		}
	}
	family.end()
	if keep {
		return nil
	}
	return os.RemoveAll(dir)
}

func answer(family *family, c command) event {
	var pid int
	var err error
	switch c.Do {
	case "start":
		pid, err = family.start(c)
	case "signal":
		err = family.signal(c.Child, c.Signal)
	case "keep":
	default:
		err = fmt.Errorf("unknown command %q", c.Do)
	}
	if err != nil {
		return event{Event: "failed", Number: c.Number, Error: err.Error()}
	}
	return event{Event: "done", Number: c.Number, Pid: pid}
}

func readCommands(commands chan<- command) {
	defer close(commands)
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return // closed; a torn line has nobody waiting for it
		}
		var c command
		if err := json.Unmarshal(line, &c); err != nil {
			fmt.Fprintln(os.Stderr, "supervisor: not a command:", err)
			return
		}
		commands <- c
	}
}
