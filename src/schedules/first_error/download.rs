//! Asking Velero for the URL of a file.

use std::time::Duration;

use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use velero::DownloadRequest;

use super::Unread;
use super::file::ErrorFile;
use crate::api::{BACKUP_ERRORS, FIELD_MANAGER};
use crate::leader::Leadership;

/// Velero answers within a second or two where it works at all.
const ANSWERED_WITHIN: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Whoever asks, and where.
pub(super) struct Downloads {
    requests: Api<DownloadRequest>,
    leadership: Leadership,
}

impl Downloads {
    pub(super) fn new(client: Client, leadership: Leadership, namespace: &str) -> Self {
        Self { requests: Api::namespaced(client, namespace), leadership }
    }

    /// The signed URL of a backup's file, which is good for ten minutes (Velero 1.18, `DownloadURLTTL`).
    ///
    /// There is one request at a time, always of the same name: so the right to that name is enough, and requests of others,
    /// whose URLs may lead to Secrets, cannot be read. One that is left over from before a crash is taken away first.
    pub(super) async fn url(&self, file: ErrorFile, backup: &str) -> Result<String, Unread> {
        self.clear().await?;
        let asked = self.ask(file, backup).await?;
        let answered = tokio::time::timeout(ANSWERED_WITHIN, self.answer(&asked)).await;
        // Velero deletes it too, after ten minutes: this is to be quick, and may fail.
        let cleared = self.clear().await;
        let url = answered.unwrap_or(Err(Unread::NoUrl))?;
        if let Err(error) = cleared {
            tracing::debug!(%error, "a DownloadRequest is left over");
        }
        Ok(url)
    }

    async fn ask(&self, file: ErrorFile, backup: &str) -> Result<DownloadRequest, Unread> {
        let request = json!({
            "apiVersion": "velero.io/v1",
            "kind": "DownloadRequest",
            "metadata": { "name": BACKUP_ERRORS },
            "spec": { "target": { "kind": file.kind(), "name": backup } },
        });
        self.leadership.check()?;
        let params = PatchParams::apply(FIELD_MANAGER).validation_strict();
        Ok(self.requests.patch(BACKUP_ERRORS, &params, &Patch::Apply(request)).await?)
    }

    /// The answer to that very request: another release of ours may use the same Velero, and so the same name.
    async fn answer(&self, asked: &DownloadRequest) -> Result<String, Unread> {
        if asked.status.as_ref().is_some_and(|status| status.download_url.is_some()) {
            // It was there, and is answered for what it asked before.
            return Err(Unread::NoUrl);
        }
        loop {
            let found = self.requests.get(BACKUP_ERRORS).await?;
            if found.uid() != asked.uid() || found.spec.target != asked.spec.target {
                return Err(Unread::NoUrl);
            }
            let answer = found.status.unwrap_or_default();
            if let Some(url) = answer.download_url.filter(|url| !url.is_empty()) {
                return Ok(url);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn clear(&self) -> Result<(), Unread> {
        let Some(left) = self.requests.get_opt(BACKUP_ERRORS).await? else { return Ok(()) };
        let preconditions = Preconditions { uid: left.uid(), resource_version: None };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        self.leadership.check()?;
        match self.requests.delete(BACKUP_ERRORS, &params).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            deleted => Ok(deleted.map(drop)?),
        }
    }
}
