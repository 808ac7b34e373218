//! `agenttier-backup`: every AgentTier sandbox workspace has a recent, proven recovery point.
//!
//! Data flows one way: [`observe`] → [`agenttier_backup_plan`] → [`act`] → [`publish`]; [`controller`] only
//! wires them together. [`restore`] turns a recovery point back into a live Sandbox.

pub mod act;
mod age;
pub mod agenttier;
pub mod api;
pub mod api_error;
pub mod backup;
mod claim;
pub mod cli;
pub mod client;
pub mod controller;
pub mod crds;
pub mod csi;
mod deadline;
pub mod leader;
pub mod observe;
pub mod pin;
mod pod;
pub mod publish;
pub mod restore;
pub mod schedules;
pub mod server_clock;
