//! `/healthz` and `/readyz`.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;

/// A controller that has begun no pass for this long is stuck: passes come at least every five minutes.
const STUCK_AFTER: Duration = Duration::from_mins(15);

/// What the probes ask for.
#[derive(Debug, Clone)]
pub struct Health {
    ready: Arc<AtomicBool>,
    last_pass: Arc<Mutex<Instant>>,
}

impl Health {
    /// Alive as of `now`, not ready yet.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { ready: Arc::default(), last_pass: Arc::new(Mutex::new(now)) }
    }

    /// Every cache is filled.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    /// A pass begins, or the wait for the caches goes on.
    pub fn beat(&self, now: Instant) {
        *self.last_pass.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// By the monotonic clock: one that is set must not end the process.
    fn is_alive(&self, now: Instant) -> bool {
        let last_pass = *self.last_pass.lock().unwrap_or_else(PoisonError::into_inner);
        now.saturating_duration_since(last_pass) < STUCK_AFTER
    }

    /// Serves the probes, for as long as it is polled.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn serve(self, address: SocketAddr) -> anyhow::Result<()> {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address} for health probes"))?;
        tracing::info!(address = %listener.local_addr()?, "health probes: /healthz, /readyz");
        let (alive, ready) = (self.clone(), self);
        let router = Router::new()
            .route("/healthz", get(|| async move { answer(alive.is_alive(Instant::now())) }))
            .route("/readyz", get(|| async move { answer(ready.ready.load(Ordering::Relaxed)) }));
        axum::serve(listener, router).await.context("the health probes' server failed")
    }
}

fn answer(good: bool) -> (StatusCode, &'static str) {
    if good { (StatusCode::OK, "ok\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready\n") }
}
