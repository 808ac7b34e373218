//! The chart: what it installs, changes, leaves behind and refuses.

mod backup_errors;
mod crds;
mod crds_rights;
mod examples;
mod monitoring;
mod policies;
mod release;
mod rights;
mod site;
mod values;
