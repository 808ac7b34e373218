//! Observing: what the API server holds, turned into what the planner reasons about.

mod agenttier_loop;
mod cache;
mod caches;
mod following;
mod governance;
mod judge;
mod library;
mod manifests;
mod meaning;
mod observed;
mod recovery_point;
mod refusal;
mod regime;
mod retired;
mod sandbox_ref;
mod setbacks;
mod snapshot_classes;
mod survey;
mod trim;
mod trouble;
mod unconfirmed;
mod unreadable;
mod volumes;

pub use caches::{Caches, Watches};
pub use governance::{Invalid, Reach, Ties, governance, in_force, reach, ties};
pub use judge::judge;
pub use library::{Holding, Library, Lineage, recorded_digest, template_digest};
pub use manifests::{ManifestError, Place, objects};
pub use meaning::{Meaning, Rules, meanings};
pub use observed::Observed;
pub use recovery_point::{is_pinned, marks_of, recovery_point};
pub use regime::{Regime, SnapshotLimit};
pub use survey::Survey;
pub use unconfirmed::Unconfirmed;
pub use volumes::volumes;
