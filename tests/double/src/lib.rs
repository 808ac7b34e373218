//! AgentTier's double: a stand-in for the controller of AgentTier 0.8.1, on a real API server.
//!
//! It keeps AgentTier's state machine, names, labels, finalizer and, above all, its traps: warm-pool claims that
//! beat restored volumes, adoption of any claim called `<name>-workspace`, a phase that lives in status only.
//! It shares no code with the product, so that it shares no mistakes with it either.
//!
//! What differs from AgentTier: Sandboxes are read live where AgentTier reads a cache, so what a stale cache does
//! there happens here only when [`StaleClaims`] asks for it; no Events, notifications or Secrets are written, and
//! pods carry the workspace only, not the template's tools and sidecars.
//!
//! ```no_run
//! # async fn example(client: kube::Client) -> anyhow::Result<()> {
//! use double::{Double, NewSandbox, Options, Phase, User, WarmPool};
//!
//! double::install_crds(&client).await?;
//! let options = Options { warm_pool: Some(WarmPool::new("default", "general", 2)), ..Options::default() };
//! let agenttier = Double::start(client.clone(), options);
//!
//! let user = User::new(client, "default");
//! user.create_cluster_template("general", serde_json::json!({})).await?;
//! user.create(NewSandbox::named("s1").cluster_template("general")).await?;
//! user.wait_phase("s1", Phase::Running).await?;
//! agenttier.shutdown().await;
//! # Ok(()) }
//! ```

mod backup_loop;
mod children;
mod controller;
mod crds;
mod decision;
mod pod_state;
mod reconcile;
mod sandbox;
mod template;
mod user;
mod warm_pool;

pub use backup_loop::BackupLoop;
pub use controller::{Double, Options};
pub use crds::{crds, install_crds};
pub use sandbox::{Phase, sandboxes};
pub use template::{cluster_templates, templates};
pub use user::{NewSandbox, User};
pub use warm_pool::{StaleClaims, WarmPool};
