//! What the product says of volumes and policies.

use agenttier_backup::api::BackupPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Api;
use serde_json::Value;
use stage::Stage;

/// As fast as the storage takes it.
pub(super) const FAST: &[&str] = &["--snapshots-per-minute-at-least", "6000"];

/// What `plan -o json` says.
pub(super) struct Told(pub(super) Value);

impl Told {
    pub(super) async fn by(stage: &Stage) -> anyhow::Result<Self> {
        Ok(Self(stage.run(&["plan", "-o", "json"]).await?.json()?))
    }

    /// Of the volume of a claim.
    pub(super) fn of(&self, claim: &str) -> &Value {
        let volumes = self.0["volumes"].as_array().expect("a plan tells of volumes");
        volumes.iter().find(|volume| volume["volume"]["claim"] == claim).unwrap_or(&Value::Null)
    }

    /// Why the volume is not protected; empty for one that is.
    pub(super) fn reason(&self, claim: &str) -> &str {
        self.of(claim)["protection"]["reason"].as_str().unwrap_or_default()
    }

    /// The message of a notice on the volume.
    pub(super) fn notice(&self, claim: &str, reason: &str) -> Option<&str> {
        let notices = self.of(claim)["notices"].as_array()?;
        notices.iter().find(|notice| notice["reason"] == reason)?["message"].as_str()
    }

    /// Why each point of the volume stays, or may go.
    pub(super) fn fates(&self, claim: &str) -> Vec<&str> {
        let points = self.of(claim)["points"].as_array().expect("a volume has points");
        points.iter().map(|point| point["reason"].as_str().unwrap_or_default()).collect()
    }
}

/// A condition of a policy.
pub(super) async fn condition(stage: &Stage, policy: &str, kind: &str) -> anyhow::Result<Option<Condition>> {
    let policies: Api<BackupPolicy> = Api::all(stage.client.clone());
    let status = policies.get(policy).await?.status.unwrap_or_default();
    Ok(status.conditions.into_iter().find(|condition| condition.type_ == kind && condition.status == "True"))
}
