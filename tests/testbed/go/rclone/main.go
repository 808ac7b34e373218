// Command rclone is rclone's own code with the parts that the recipe for S3
// uses: whole, it is a build of many minutes, for stores that nobody here asks.
package main

import (
	_ "github.com/rclone/rclone/backend/local"
	_ "github.com/rclone/rclone/backend/s3"
	"github.com/rclone/rclone/cmd"
	_ "github.com/rclone/rclone/cmd/copy"
	_ "github.com/rclone/rclone/cmd/sync"
)

func main() { cmd.Main() }
