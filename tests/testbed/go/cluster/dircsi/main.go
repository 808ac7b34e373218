// Command dircsi is a CSI driver whose volumes and snapshots are plain
// directories.
//
// It serves clusters that have a real control plane (kube-apiserver,
// csi-provisioner, csi-snapshotter, snapshot-controller) and no kubelet: a test
// reads and writes a volume's files where the driver keeps them, and learns the
// place from the PersistentVolume's volumeAttributes ("path"). Several drivers
// may share one root, which models storage that outlives a cluster.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"regexp"
	"syscall"
)

const help = `dircsi is a CSI driver whose volumes and snapshots are plain directories.

Usage:
  dircsi --endpoint unix:///path/csi.sock --root DIR --node-id ID [flags]

Flags:
  --endpoint URL   Unix socket to serve, as unix:// and an absolute path (required).
                   Its directory must exist; a socket left by a dead driver is replaced.
  --root DIR       Directory that holds all state (required; made when absent).
                   Drivers of several clusters may share it at the same time.
  --node-id ID     Name of the node that the node service speaks for (required).
  --name NAME      Name of the driver (default "dir.csi.testbed").
  --faults FILE    JSON list of faults, read anew at each call; absent or empty: none.
                   Replace it by a rename, so that no call sees half a file.

Layout of the root:
  volumes/<volume id>/data/       a volume's files        volumes/<volume id>/volume.json
  snapshots/<snapshot id>/data/   a snapshot's files      snapshots/<snapshot id>/snapshot.json

Each volume's context holds "path", the absolute path of its data directory.

A fault, with all its fields:
  {"id": "slow-1",             its name, once per file; counts of "times" belong to it
   "method": "CreateSnapshot", short name of a CSI method, or "*"
   "match": "substring",       of the request's name, volume, source or snapshot id; empty: all
   "delayMs": 500,             wait first
   "code": "UNAVAILABLE",      then fail with this gRPC code
   "message": "...",           and this message
   "after": true,              but only once the work is done: a lost reply
   "notReadyMs": 3000,         CreateSnapshot only: not ready to use for so long after creation
   "times": 3}                 the first 3 matching calls of this process only; 0: always
The first fault in the file that matches a call and is not used up is the one that applies.
`

// driverName is the form that GetPluginInfo prescribes: a domain name of at
// most 63 characters.
var driverName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?$`)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "dircsi: %v\n", err)
		os.Exit(1)
	}
}

// run serves the driver that args describe until ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	config, err := parseFlags(args)
	if errors.Is(err, flag.ErrHelp) {
		_, err = io.WriteString(stdout, help)
		return err
	}
	if err != nil {
		return fmt.Errorf("%w (see dircsi --help)", err)
	}
	config.Log = slog.New(slog.NewTextHandler(stderr, nil))
	return serve(ctx, config)
}

func parseFlags(args []string) (Config, error) {
	var config Config
	flags := flag.NewFlagSet("dircsi", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // errors and help are printed by main and run
	flags.StringVar(&config.Endpoint, "endpoint", "", "")
	flags.StringVar(&config.Root, "root", "", "")
	flags.StringVar(&config.NodeID, "node-id", "", "")
	flags.StringVar(&config.Name, "name", "dir.csi.testbed", "")
	flags.StringVar(&config.FaultsFile, "faults", "", "")
	if err := flags.Parse(args); err != nil {
		return config, err
	}
	switch {
	case flags.NArg() > 0:
		return config, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case config.Endpoint == "":
		return config, errors.New("--endpoint is missing")
	case config.Root == "":
		return config, errors.New("--root is missing")
	case config.NodeID == "":
		return config, errors.New("--node-id is missing")
	case !driverName.MatchString(config.Name):
		return config, fmt.Errorf("--name %q is not a domain name of at most 63 characters", config.Name)
	}
	return config, nil
}
