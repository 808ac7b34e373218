package main

import (
	_ "github.com/container-storage-interface/spec/lib/go/csi"
	_ "google.golang.org/grpc"
)

func main() {}
