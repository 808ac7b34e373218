// Command objectstore is an S3 server whose buckets are folders.
//
// It has what Velero's S3 plugin and rclone ask of a store: objects are put
// (also in parts) with metadata, copied, read, listed and deleted, by requests
// that are signed. A test reads and writes the objects where the server keeps
// them.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

const help = `objectstore is an S3 server whose buckets are folders.

Usage:
  objectstore --root DIR --scratch DIR [--listen ADDRESS]

Flags:
  --root DIR        Holds the buckets, a folder each (required). An object lies at
                    the path that is its key; nothing else is in there. One
                    whose key ends in a slash is a folder.
  --scratch DIR     Holds what is not a whole object yet, and the metadata of
                    objects (required); on the same file system.
  --listen ADDRESS  Default 127.0.0.1:0, any free port. The first line of output
                    tells the URL.

Environment:
  OBJECTSTORE_ACCESS_KEY, OBJECTSTORE_SECRET_KEY  Who may do everything (required).

Buckets are addressed by path (http://HOST/BUCKET/KEY) and made by mkdir.
`

func main() {
	err := run(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		fmt.Print(help)
		return
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "objectstore: %v (see objectstore --help)\n", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("objectstore", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // errors and help are printed by main
	root := flags.String("root", "", "")
	scratch := flags.String("scratch", "", "")
	address := flags.String("listen", "127.0.0.1:0", "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	owner := owner{accessKey: os.Getenv("OBJECTSTORE_ACCESS_KEY"), secretKey: os.Getenv("OBJECTSTORE_SECRET_KEY")}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case *root == "" || *scratch == "":
		return errors.New("--root or --scratch is missing")
	case owner.accessKey == "" || owner.secretKey == "":
		return errors.New("OBJECTSTORE_ACCESS_KEY or OBJECTSTORE_SECRET_KEY is not set")
	}
	shelf, err := openShelf(*root, *scratch)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		return err
	}
	fmt.Printf("objectstore: http://%s serves %s\n", listener.Addr(), filepath.Clean(*root))
	server := &http.Server{Handler: &front{owner: owner, shelf: shelf}, ReadHeaderTimeout: time.Minute}
	return server.Serve(listener)
}
