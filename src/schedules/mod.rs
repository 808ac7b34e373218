//! Layer 2: Velero's Schedules, kept as the policies say, and what Velero makes of them.
//!
//! What is to become of each Schedule is decided by [`agenttier_backup_plan::schedules`]. Here policies are read
//! ([`velero_rules`]), Schedules rendered ([`render`]) and compared ([`drift()`]), backups read back ([`course`]) and
//! written to Velero's namespace ([`Keeper`]): never anywhere else, and never a `status`. Commands take one [`Look`], and show
//! what becomes of everything ([`Outlook`]) by the same reckoning.

mod asked;
mod called;
mod cluster;
mod contest;
mod drift;
mod findings;
mod first_error;
mod fitting;
mod incident;
mod keeper;
mod leaving;
mod left_out;
mod look;
mod namesake;
mod occupancy;
mod orders;
mod outlook;
mod read_back;
mod render;
mod report;
mod rules;
mod saved;
mod setting;
mod site;
mod standing;
mod state;
mod template;
mod volumes;
mod why;
mod write;

pub use cluster::{ClusterIdentity, cluster_name};
pub use drift::{Drift, drift};
pub use findings::{Finding, Findings};
pub use first_error::FirstErrors;
pub use fitting::Fitting;
pub use incident::Incident;
pub use keeper::Keeper;
pub use look::{Look, Said};
pub use orders::{Order, Orders, orders};
pub use outlook::{Outlook, Prospect, Step, Told};
pub use read_back::{Course, FailedBackup, ListedErrors, Patience, VolumesMissing, Way, course, why_failed};
pub use render::{Rendered, render, volume_policy_map};
pub use rules::{Times, VeleroRegime, VeleroRules, velero_rules};
pub use saved::{Saved, saved, saved_labels};
pub use setting::{Setting, VELERO};
pub use site::{LocationTrouble, Obstacle, backups_at_once, location_trouble, takes_csi_snapshots, usable};
pub use standing::Standing;
pub use state::State;
pub(crate) use volumes::BoundClaims;
