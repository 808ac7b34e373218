//! `/metrics`.

use std::net::SocketAddr;

use anyhow::Context as _;
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::publish::{self, Metrics};

/// Serves the metrics, for as long as it is polled. They are on a port of their own: whoever may scrape them need not
/// reach the probes.
///
/// # Errors
/// When the address cannot be listened on.
pub(super) async fn serve(metrics: Metrics, address: SocketAddr) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address} for metrics"))?;
    tracing::info!(address = %listener.local_addr()?, "metrics: /metrics");
    let answer = || async move { ([(CONTENT_TYPE, publish::CONTENT_TYPE)], metrics.text()) };
    axum::serve(listener, Router::new().route("/metrics", get(answer)))
        .await
        .context("the metrics' server failed")
}
