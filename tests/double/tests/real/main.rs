//! The double on a real control plane, trap by trap.
#![allow(clippy::unwrap_used)]

mod backup_loop;
mod crds;
mod life;
mod node_loss;
mod place;
mod pool;
mod templates;
mod volumes;
