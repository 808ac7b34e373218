//! Metrics, in the text format of OpenMetrics. `docs/metrics.md` has a line on each.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agenttier_backup_plan::ActionKind;
use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::Figures;
use super::gauge::value;
use crate::server_clock::ServerClock;

/// What the answer says of its form.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds of passes, in seconds: ten volumes take milliseconds; a full batch of slow calls, minutes.
const PASSES: [f64; 9] = [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0];

/// Action and reason.
type Failed = [(&'static str, String); 2];

/// All metrics of the process. Clones share them.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    live: Arc<Live>,
    created: Counter,
    pruned: Counter,
    failed: Family<Failed, Counter>,
    passes: Histogram,
}

impl Metrics {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new(clock: ServerClock) -> Self {
        let mut registry = Registry::with_prefix("agenttier_backup");
        let live = Arc::new(Live { clock, term: Mutex::default() });
        let (created, pruned, failed) = (Counter::default(), Counter::default(), Family::default());
        let passes = Histogram::new(PASSES);
        registry.register_collector(Box::new(live.clone()));
        registry.register("snapshots_created", "Snapshots that were taken", created.clone());
        registry.register("snapshots_pruned", "Snapshots that were pruned", pruned.clone());
        registry.register("orders_failed", "Orders that failed", failed.clone());
        registry.register("pass_duration_seconds", "How long passes took", passes.clone());
        let version = [("version", env!("CARGO_PKG_VERSION").to_owned())];
        registry.register("build", "This program", Info::new(version));
        Self { registry: Arc::new(registry), live, created, pruned, failed, passes }
    }

    /// A snapshot was taken.
    pub fn created(&self) {
        self.created.inc();
    }

    /// A snapshot was pruned.
    pub fn pruned(&self) {
        self.pruned.inc();
    }

    /// An order failed.
    pub fn failed(&self, kind: ActionKind, reason: &str) {
        self.failed.get_or_create(&[("action", kind.to_string()), ("reason", reason.to_owned())]).inc();
    }

    /// A pass has ended, at a time of the API server's.
    pub fn passed(&self, ended: Timestamp, took: Duration, figures: Figures) {
        self.passes.observe(took.as_secs_f64());
        *self.live.term() = Some(Term { last: Some((ended, figures)) });
    }

    /// This process leads now. Until its first pass it knows nothing to count.
    pub fn term_begins(&self) {
        *self.live.term() = Some(Term { last: None });
    }

    /// This process leads no longer: what it has counted is another one's to count.
    pub fn term_ends(&self) {
        *self.live.term() = None;
    }

    /// Everything, as of now.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            tracing::error!("the metrics could not be written; a bug");
        }
        text
    }
}

/// What is computed when somebody asks.
#[derive(Debug)]
struct Live {
    clock: ServerClock,
    term: Mutex<Option<Term>>,
}

/// While this process leads.
#[derive(Debug)]
struct Term {
    last: Option<(Timestamp, Figures)>,
}

impl Live {
    fn term(&self) -> MutexGuard<'_, Option<Term>> {
        self.term.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for Live {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let term = self.term();
        let leads = if term.is_some() { 1.0 } else { 0.0 };
        value(&mut encoder, "leader", "Whether this replica is the one that works", Some(leads))?;
        let skew = self.clock.skew().map(|skew| skew.as_secs_f64());
        value(&mut encoder, "clock_skew_seconds", "The local clock minus the API server's", skew)?;
        if let Some((ended, figures)) = term.as_ref().and_then(|term| term.last.as_ref()) {
            let last = Some(ended.as_duration().as_secs_f64());
            value(&mut encoder, "last_pass_timestamp_seconds", "When the last pass ended", last)?;
            figures.encode(self.clock.now(), &mut encoder)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
