//! The loop of a restore: look, decide, do.

use std::time::Duration;

use agenttier_backup_plan::marks;
use agenttier_backup_plan::restore::{Refusal, Start, Step, next_step};
use anyhow::Context as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{Api, Client, ResourceExt};

use super::look::look;
use super::perform::perform;
use super::point::{Point, resolve};
use crate::agenttier::{Sandbox, workspace_claim};
use crate::csi::VolumeSnapshot;

/// How often to look while something else is at work.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// One restore: a recovery point, and the sandbox to make of it.
#[derive(Debug)]
pub struct Restore {
    /// Namespace of the recovery point, the source and the target.
    pub namespace: String,
    /// Name of the Sandbox to make.
    pub target: String,
    /// The Sandbox whose spec the target gets.
    pub source: Sandbox,
    /// The recovery point.
    pub point: Point,
    /// Whether the target is to run.
    pub start: Start,
}

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
    /// Finds the recovery point and the Sandbox whose spec is to be taken over.
    ///
    /// # Errors
    /// When either is missing.
    pub async fn prepare(
        client: &Client,
        namespace: &str,
        sandbox: &str,
        point: Option<&str>,
        target: &str,
        start: Start,
    ) -> anyhow::Result<Self> {
        let source = Api::<Sandbox>::namespaced(client.clone(), namespace)
            .get_opt(sandbox)
            .await
            .with_context(|| format!("cannot read sandbox {sandbox:?}"))?
            .with_context(|| {
                format!(
                    "there is no sandbox {sandbox:?} in namespace {namespace:?}, and its spec is needed \
                     to make another one like it"
                )
            })?;
        let begun = match point {
            Some(_) => None,
            None => begun_from(client, namespace, target).await.context("cannot read volume claims")?,
        };
        let point = resolve(client, namespace, sandbox, point.or(begun.as_deref())).await?;
        Ok(Self { namespace: namespace.into(), target: target.into(), source, point, start })
    }

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

    /// Name of the claim that the target uses.
    #[must_use]
    pub fn claim(&self) -> String {
        workspace_claim(&self.target)
    }

    pub(super) fn snapshot(&self) -> &VolumeSnapshot {
        &self.point.snapshot
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

/// The recovery point of a restore of that target that was begun before: it goes on with the same one, also
/// when there is a newer one by now.
async fn begun_from(client: &Client, namespace: &str, target: &str) -> kube::Result<Option<String>> {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
    let claim = claims.get_opt(&workspace_claim(target)).await?;
    Ok(claim.and_then(|claim| claim.annotations().get(marks::RESTORED_FROM).cloned()))
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
