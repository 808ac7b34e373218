//! Our CustomResourceDefinitions on their way into a cluster.
//!
//! Helm installs what lies in `chart/crds` once and never changes it. [`apply`] brings a cluster's definitions up to
//! this release, and never down from a newer one.

mod apply;
mod difference;
mod manifest;
mod release;

pub use apply::{Applied, CrdError, Outcome, apply};
pub use difference::{Change, Difference, differences};
pub use manifest::manifest;
pub use release::{Standing, standing};
