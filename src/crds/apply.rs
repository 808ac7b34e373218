//! A cluster's definitions brought up to this release.

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::runtime::conditions::is_crd_established;
use kube::runtime::wait::Condition as _;
use kube::{Api, Client, ResourceExt};
use semver::Version;
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

use super::difference::{Difference, differences};
use super::release::{Standing, standing};
use crate::api::{FIELD_MANAGER, RELEASE, crds};
use crate::api_error::{is_passing, sentence};

/// How often to look whether the API server serves a kind.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long to wait before the API server is asked again that could not answer.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What came of one definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Applied {
    /// Name of the CustomResourceDefinition.
    pub name: String,
    /// The release that it is of now.
    pub release: String,
    /// What was done.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What was done to a definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome")]
pub enum Outcome {
    /// There was none.
    Created,
    /// There was another one.
    Updated {
        /// The release that it was of, where it said so.
        from: Option<String>,
        /// What it has otherwise now.
        changes: Vec<Difference>,
    },
    /// It was this one already.
    Unchanged,
}

/// Why a cluster's definitions are not those of this release.
#[derive(Debug, thiserror::Error)]
pub enum CrdError {
    /// The cluster has a definition of a newer release.
    #[error(
        "{name} is of release {theirs}, newer than this one ({RELEASE}), which would take fields away from it; \
         nothing was changed. Use release {theirs} or newer, or leave the definitions as they are (for the chart: \
         --set crds.upgrade=false)"
    )]
    Newer {
        /// Name of the definition.
        name: String,
        /// The release that it is of.
        theirs: String,
    },
    /// It cannot be told which release a definition is of.
    #[error(
        "{name} has the label app.kubernetes.io/version={label:?}, which is no version, so it may be of a newer \
         release than this one ({RELEASE}); nothing was changed. If it is not, remove the label: \
         kubectl label crd {name} app.kubernetes.io/version-"
    )]
    Unreadable {
        /// Name of the definition.
        name: String,
        /// What its label says.
        label: String,
    },
    /// The API server said no.
    #[error("cannot {doing}: {said}")]
    Api {
        /// What was being done.
        doing: String,
        /// What the API server said.
        said: String,
    },
    /// It took too long; it may be run again.
    #[error("not finished after {} s, while waiting to {doing}{}; run it again", .after.as_secs(), because(.trouble.as_deref()))]
    TimedOut {
        /// What was being done.
        doing: String,
        /// How long it has tried.
        after: Duration,
        /// What stood in the way in the end.
        trouble: Option<String>,
    },
}

fn because(trouble: Option<&str>) -> String {
    trouble.map(|trouble| format!(" ({trouble})")).unwrap_or_default()
}

/// Brings every definition of ours up to this release, and waits until the API server serves its kind.
///
/// All of them are looked at before the first is written. What passes (an API server that restarts, another writer)
/// is waited out until `limit`. It may be run again at any time.
///
/// # Errors
/// When the cluster has a newer definition, the API server refuses, or `limit` has passed.
pub async fn apply(client: &Client, limit: Duration) -> Result<Vec<Applied>, CrdError> {
    let mut work = Work { api: Api::all(client.clone()), doing: String::new(), trouble: None };
    let begun = Instant::now();
    let done = tokio::time::timeout(limit, work.all()).await;
    done.unwrap_or_else(|_| {
        Err(CrdError::TimedOut { doing: work.doing, after: begun.elapsed(), trouble: work.trouble })
    })
}

/// What is being done.
struct Work {
    api: Api<CustomResourceDefinition>,
    doing: String,
    /// What is in the way, as long as it is.
    trouble: Option<String>,
}

impl Work {
    async fn all(&mut self) -> Result<Vec<Applied>, CrdError> {
        let wanted = crds();
        for crd in &wanted {
            self.replaceable(&crd.name_any()).await?;
        }
        let mut applied = Vec::new();
        for crd in wanted {
            let outcome = self.one(&crd).await?;
            applied.push(Applied { name: crd.name_any(), release: RELEASE.to_owned(), outcome });
        }
        for Applied { name, .. } in &applied {
            self.established(name).await?;
        }
        Ok(applied)
    }

    /// The cluster's definition of that name, where this release may replace it.
    async fn replaceable(&mut self, name: &str) -> Result<Option<CustomResourceDefinition>, CrdError> {
        self.doing = format!("read the definition {name}");
        let found = loop {
            let answer = self.api.get_opt(name).await;
            let Some(found) = self.answer(answer).await? else { continue };
            if found.as_ref().is_none_or(|found| found.metadata.deletion_timestamp.is_none()) {
                break found;
            }
            // It cannot be kept any more, only made again.
            self.trouble = Some("it is being deleted".to_owned());
            tokio::time::sleep(LOOK_EVERY).await;
        };
        let Some(found) = found else { return Ok(None) };
        // Cargo sees to it that this one can be read.
        let release = RELEASE.parse().unwrap_or(Version::new(0, 0, 0));
        match standing(&found, &release) {
            Standing::NotNewer(_) => Ok(Some(found)),
            Standing::Newer(theirs) => Err(CrdError::Newer { name: name.to_owned(), theirs }),
            Standing::Unreadable(label) => Err(CrdError::Unreadable { name: name.to_owned(), label }),
        }
    }

    async fn one(&mut self, crd: &CustomResourceDefinition) -> Result<Outcome, CrdError> {
        let name = crd.name_any();
        // Whoever else wrote it, such as helm when it installed it, is not asked: the definition is ours.
        let params = PatchParams::apply(FIELD_MANAGER).force();
        loop {
            let before = self.replaceable(&name).await?;
            let mut wanted = crd.clone();
            // Another release may be at work at the same time: what it writes now is looked at first.
            wanted.metadata.resource_version = before.as_ref().and_then(ResourceExt::resource_version);
            self.doing = format!("apply the definition {name}");
            let answer = self.api.patch(&name, &params, &Patch::Apply(&wanted)).await;
            let Some(after) = self.answer(answer).await? else { continue };
            return Ok(before.map_or(Outcome::Created, |before| outcome(&before, &after, crd)));
        }
    }

    async fn established(&mut self, name: &str) -> Result<(), CrdError> {
        loop {
            self.doing = format!("see {name} served");
            let answer = self.api.get_opt(name).await;
            let Some(found) = self.answer(answer).await? else { continue };
            if is_crd_established().matches_object(found.as_ref()) {
                return Ok(());
            }
            self.trouble = found.as_ref().map_or(Some("it is gone".to_owned()), unserved);
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// An answer, or nothing after a pause where it is worth asking again.
    async fn answer<T>(&mut self, answer: kube::Result<T>) -> Result<Option<T>, CrdError> {
        let error = match answer {
            Ok(answer) => {
                self.trouble = None;
                return Ok(Some(answer));
            }
            Err(error) => error,
        };
        let said = sentence(&error);
        let overtaken = matches!(&error, kube::Error::Api(status) if status.code == 409);
        if !overtaken && !is_passing(&error) {
            return Err(CrdError::Api { doing: self.doing.clone(), said });
        }
        self.trouble = Some(said);
        tokio::time::sleep(TRY_AGAIN_AFTER).await;
        Ok(None)
    }
}

fn outcome(
    before: &CustomResourceDefinition,
    after: &CustomResourceDefinition,
    wanted: &CustomResourceDefinition,
) -> Outcome {
    let spec = |crd: &CustomResourceDefinition| serde_json::to_value(&crd.spec).unwrap_or(Value::Null);
    let changes = differences(&spec(before), &spec(after));
    let has_labels = wanted.labels().iter().all(|(key, value)| before.labels().get(key) == Some(value));
    if changes.is_empty() && has_labels {
        return Outcome::Unchanged;
    }
    Outcome::Updated { from: before.labels().get(crate::api::RELEASE_LABEL).cloned(), changes }
}

/// Why the API server does not serve a kind.
fn unserved(crd: &CustomResourceDefinition) -> Option<String> {
    let conditions = crd.status.as_ref()?.conditions.as_ref()?;
    let failed = conditions.iter().find(|condition| condition.status == "False")?;
    failed.message.clone()
}
