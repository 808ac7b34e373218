// Command cronprobe says what Go libraries for cron make of expressions: one
// JSON object a line in, one a line out, in the same order.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"time"

	gocron "github.com/netresearch/go-cron"
	robfig "github.com/robfig/cron/v3"
)

// question asks for the first N times of an expression after an instant.
type question struct {
	// Library is "go-cron", which Velero uses since 1.18.3, or "robfig",
	// which it used before.
	Library string    `json:"library"`
	Expr    string    `json:"expr"`
	After   time.Time `json:"after"`
	// Zone is the time zone of the one who asks.
	Zone string `json:"zone"`
	N    int    `json:"n"`
}

// answer is an error, or times in UTC. They are less than N where the
// expression does not come due any more.
type answer struct {
	Error string   `json:"error,omitempty"`
	Times []string `json:"times"`
}

type schedule interface {
	Next(time.Time) time.Time
}

func main() {
	in := json.NewDecoder(bufio.NewReader(os.Stdin))
	out := bufio.NewWriter(os.Stdout)
	encoder := json.NewEncoder(out)
	for in.More() {
		var q question
		if err := in.Decode(&q); err != nil {
			log.Fatal(err)
		}
		zone, err := time.LoadLocation(q.Zone)
		if err != nil {
			log.Fatal(err)
		}
		if err := encoder.Encode(ask(q, zone)); err != nil {
			log.Fatal(err)
		}
	}
	if err := out.Flush(); err != nil {
		log.Fatal(err)
	}
}

func ask(q question, zone *time.Location) answer {
	parsed, err := parse(q.Library, q.Expr)
	if err != nil {
		return answer{Error: err.Error()}
	}
	a := answer{Times: []string{}}
	for at := q.After.In(zone); len(a.Times) < q.N; {
		at = parsed.Next(at)
		if at.IsZero() {
			break
		}
		a.Times = append(a.Times, at.UTC().Format(time.RFC3339))
	}
	return a
}

// parse turns a panic into an error, as Velero's server does.
func parse(library, expr string) (parsed schedule, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	switch library {
	case "go-cron":
		return gocron.ParseStandard(expr)
	case "robfig":
		return robfig.ParseStandard(expr)
	default:
		return nil, fmt.Errorf("no library %q", library)
	}
}
