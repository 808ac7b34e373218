//! The product on a real control plane: what the scenarios and the demo stand on.
//!
//! A [`Stage`] is a cluster of the testbed with AgentTier's double in it and the product installed by its own
//! chart. The controller runs as a process beside the cluster with nothing but the rights that the chart
//! gives its ServiceAccount.

mod command;
mod controller;
mod points;
mod policy;
mod setting;

pub use command::Output;
pub use points::Points;
pub use policy::Rhythm;
pub use setting::{Cast, NAMESPACE, Stage};
