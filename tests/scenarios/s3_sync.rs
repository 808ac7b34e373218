//! The recipe in `examples/s3-sync`: the commands of its manifests, run as they stand against an S3 server, and the pods
//! that would run them.

mod copies;
mod failed_runs;
mod limits;
mod placement;
mod recipe;
mod workspace;
