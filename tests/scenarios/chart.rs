//! The chart: what it installs, changes, leaves behind and refuses.

mod examples;
mod policies;
mod release;
mod rights;
mod site;
mod values;
