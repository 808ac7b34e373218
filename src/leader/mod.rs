//! One of several replicas works at a time: the holder of a Lease.

mod elector;
mod leadership;

pub use elector::{Elector, LeaseName, LeaseNameError};
pub use leadership::{Leadership, NotLeading};
