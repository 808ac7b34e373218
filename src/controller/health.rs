//! `/healthz` and `/readyz`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use anyhow::Context as _;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use jiff::Timestamp;
use tokio::net::TcpListener;

/// A controller that has begun no pass for this long is stuck: passes come at least every five minutes.
const STUCK_AFTER_SECONDS: i64 = 900;

/// What the probes ask for.
#[derive(Debug, Clone)]
pub struct Health {
    ready: Arc<AtomicBool>,
    last_pass: Arc<AtomicI64>,
}

impl Health {
    /// Alive as of `now`, not ready yet.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self { ready: Arc::default(), last_pass: Arc::new(AtomicI64::new(now.as_second())) }
    }

    /// Every cache is filled.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    /// A pass begins, or the wait for the caches goes on.
    pub fn beat(&self, now: Timestamp) {
        self.last_pass.store(now.as_second(), Ordering::Relaxed);
    }

    fn is_alive(&self, now: Timestamp) -> bool {
        now.as_second() - self.last_pass.load(Ordering::Relaxed) < STUCK_AFTER_SECONDS
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
            .route("/healthz", get(|| async move { answer(alive.is_alive(Timestamp::now())) }))
            .route("/readyz", get(|| async move { answer(ready.ready.load(Ordering::Relaxed)) }));
        axum::serve(listener, router).await.context("the health probes' server failed")
    }
}

fn answer(good: bool) -> (StatusCode, &'static str) {
    if good { (StatusCode::OK, "ok\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready\n") }
}
