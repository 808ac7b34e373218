//! Measures from the first snapshot that appears to the last, whoever makes them.

use std::time::{Duration, Instant};

use agenttier_backup::csi::VolumeSnapshot;
use anyhow::{Context as _, Result, ensure};
use futures::io::AsyncBufRead;
use futures::{AsyncBufReadExt, StreamExt};
use kube::api::{ListParams, WatchParams};
use kube::core::Request;
use kube::{Client, Resource};

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_mins(5);

/// A watch that is open. It counts lines and reads nothing of them, so that it costs both sides the same little.
pub(super) struct Stopwatch<R> {
    begun: Instant,
    events: R,
    expected: usize,
}

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    /// From the beginning to the first.
    pub(super) lead: Duration,
    /// From the first to the last.
    pub(super) span: Duration,
    created: usize,
}

impl Measured {
    /// Snapshots a second, from the first to the last.
    pub(super) fn rate(self) -> f64 {
        let created = u32::try_from(self.created - 1).map_or(f64::MAX, f64::from);
        created / self.span.as_secs_f64()
    }
}

impl Stopwatch<()> {
    /// Begins.
    pub(super) async fn start(
        client: &Client,
        expected: usize,
    ) -> Result<Stopwatch<impl AsyncBufRead + use<>>> {
        let request = Request::new(VolumeSnapshot::url_path(&(), None));
        let now =
            client.request::<kube::core::ObjectList<VolumeSnapshot>>(request.list(&ListParams::default())?);
        let now = now.await?;
        ensure!(now.items.is_empty(), "{} snapshots are there before anybody begins", now.items.len());
        let version = now.metadata.resource_version.context("a list has a version")?;
        let events = client.request_stream(request.watch(&WatchParams::default(), &version)?).await?;
        Ok(Stopwatch { begun: Instant::now(), events, expected })
    }
}

impl<R: AsyncBufRead> Stopwatch<R> {
    /// Waits for the last one.
    pub(super) async fn stop(self) -> Result<Measured> {
        let Self { begun, events, expected } = self;
        let counting = async {
            let events = std::pin::pin!(events);
            let mut lines = events.lines();
            let (mut first, mut created) = (None, 0);
            while let Some(line) = lines.next().await {
                if line?.starts_with("{\"type\":\"ADDED\"") {
                    let first = *first.get_or_insert_with(Instant::now);
                    created += 1;
                    if created == expected {
                        return Ok(Measured { lead: first - begun, span: first.elapsed(), created });
                    }
                }
            }
            anyhow::bail!("the watch ended after {created} snapshots")
        };
        let waited = || format!("wait for {expected} snapshots");
        tokio::time::timeout(PATIENCE, counting).await.with_context(waited)?
    }
}
