//! The loop of a restore: look, decide, do.

use std::time::Duration;

use agenttier_backup_plan::restore::{Refusal, Step, next_step};
use jiff::Timestamp;
use kube::{Client, ResourceExt};

use super::look::look;
use super::order::Restore;
use super::perform::perform;
use crate::agenttier::Sandbox;

/// How often to look while something else is at work.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// A restore that has ended well.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Restored {
    /// Namespace of the Sandbox.
    pub namespace: String,
    /// The Sandbox.
    pub sandbox: String,
    /// Its workspace claim.
    pub claim: String,
    /// The recovery point that it was made from.
    pub recovery_point: String,
    /// The moment that its data is from.
    pub taken_at: Timestamp,
    /// `Running` or `Stopped`.
    pub phase: String,
    /// Seconds from the first look to the end.
    pub seconds: f64,
}

/// Why a restore has not ended well.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// It cannot go on.
    #[error("cannot restore: {0}")]
    Refused(Refusal),
    /// The API server said no.
    #[error("the API server refuses to {doing}")]
    Api {
        /// What was being done.
        doing: &'static str,
        /// What it said.
        source: kube::Error,
    },
    /// It took too long; the same command goes on where it stopped.
    #[error("not finished after {} s, while waiting to {doing}; run the same command to go on", .after.as_secs())]
    TimedOut {
        /// What was being done.
        doing: &'static str,
        /// How long it has tried.
        after: Duration,
    },
}

impl Restore {
    /// Runs to the end, or until `limit` has passed. `on_step` hears every step before it is done.
    ///
    /// # Errors
    /// When it cannot go on, or has not come to its end in time. It may be run again: it goes on where it was.
    pub async fn run(
        &self,
        client: &Client,
        limit: Duration,
        mut on_step: impl FnMut(&Step),
    ) -> Result<Restored, RestoreError> {
        let begun = tokio::time::Instant::now();
        let origin = self.snapshot().uid().unwrap_or_default();
        let claim = self.claim();
        let mut last: Option<Step> = None;
        loop {
            let found =
                look(client, &self.namespace, &self.target, &claim, &self.snapshot().name_any(), &origin)
                    .await
                    .map_err(|source| RestoreError::Api { doing: "show what exists", source })?;
            let step = next_step(&found.sight, &claim, self.start);
            if last.as_ref() != Some(&step) {
                on_step(&step);
            }
            match &step {
                Step::Done => return Ok(self.restored(found.sandbox.as_ref(), begun.elapsed())),
                Step::Refuse(refusal) => return Err(RestoreError::Refused(refusal.clone())),
                step => perform(client, self, &found, step)
                    .await
                    .map_err(|source| RestoreError::Api { doing: doing(step), source })?,
            }
            if begun.elapsed() > limit {
                return Err(RestoreError::TimedOut { doing: doing(&step), after: begun.elapsed() });
            }
            // The same step again means that something else has to move first.
            if last.as_ref() == Some(&step) || is_wait(&step) {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            last = Some(step);
        }
    }

    fn restored(&self, sandbox: Option<&Sandbox>, took: Duration) -> Restored {
        Restored {
            namespace: self.namespace.clone(),
            sandbox: self.target.clone(),
            claim: self.claim(),
            recovery_point: self.snapshot().name_any(),
            taken_at: self.point.taken_at,
            phase: sandbox.map(|sandbox| sandbox.phase().to_owned()).unwrap_or_default(),
            seconds: took.as_secs_f64(),
        }
    }
}

fn is_wait(step: &Step) -> bool {
    matches!(step, Step::AwaitBound | Step::AwaitRunning | Step::AwaitStopped)
}

/// A step as a person would say it, after "to".
fn doing(step: &Step) -> &'static str {
    match step {
        Step::CreateClaim => "create the volume claim",
        Step::AwaitBound => "see the volume bound",
        Step::CreateSandbox => "create the sandbox",
        Step::Park => "put the sandbox on its volume",
        Step::Adopt => "make the sandbox the volume's owner",
        Step::Start => "start the sandbox",
        Step::AwaitRunning => "see the sandbox run",
        Step::StopRobbed | Step::AwaitStopped => "stop the sandbox, which came up on another volume",
        Step::Done | Step::Refuse(_) => "finish",
    }
}
