//! Records of Sandboxes, the templates that Sandboxes follow, and what both say of a Sandbox.

use std::collections::BTreeMap;
use std::sync::Arc;

use agenttier_backup_plan::{Contents, Digest, LONGEST_LINEAGE, RecordSight, TemplateSight, is_our_record};
use kube::ResourceExt;
use kube::core::PartialObjectMeta;

use crate::agenttier::{
    ClusterSandboxTemplate, Sandbox, SandboxTemplate, TemplateKey, TemplateRef, TemplateSpec,
};
use crate::api::{RecordedSandbox, SandboxRecord};

/// What a watch that snapshots do without has shown.
#[derive(Debug, Clone, Default)]
pub enum Holding<K> {
    /// Nothing yet.
    #[default]
    Unseen,
    /// The API server says that there is no such kind, or no right to read it.
    Refused,
    /// All of them.
    Seen(Vec<Arc<K>>),
}

impl<K> Holding<K> {
    pub(super) fn is_unseen(&self) -> bool {
        matches!(self, Self::Unseen)
    }

    pub(crate) fn is_refused(&self) -> bool {
        matches!(self, Self::Refused)
    }

    pub(crate) fn seen(&self) -> Option<&[Arc<K>]> {
        match self {
            Self::Seen(objects) => Some(objects),
            Self::Unseen | Self::Refused => None,
        }
    }
}

/// Records and templates as the watches show them.
#[derive(Debug, Clone, Default)]
pub struct Library {
    /// All records: their metadata.
    pub records: Holding<PartialObjectMeta<SandboxRecord>>,
    /// All SandboxTemplates.
    pub templates: Holding<SandboxTemplate>,
    /// All ClusterSandboxTemplates.
    pub cluster_templates: Holding<ClusterSandboxTemplate>,
}

impl Library {
    /// All records, once it can be told which of them are needed: as long as templates may still be shown, what a
    /// Sandbox is cannot be said.
    #[must_use]
    pub fn records(&self) -> Option<Vec<RecordSight>> {
        if self.templates.is_unseen() || self.cluster_templates.is_unseen() {
            return None;
        }
        Some(self.records.seen()?.iter().filter_map(|record| sight(record)).collect())
    }

    /// Whether any of it may still be shown.
    #[must_use]
    pub fn is_unseen(&self) -> bool {
        self.records.is_unseen() || self.templates.is_unseen() || self.cluster_templates.is_unseen()
    }

    /// Whether everything can be seen; where something is refused, what nobody needs cannot be told.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.records.seen().is_some()
            && self.templates.seen().is_some()
            && self.cluster_templates.seen().is_some()
    }
}

/// A record as the planner sees it. None for one that the API server has not created.
fn sight(record: &PartialObjectMeta<SandboxRecord>) -> Option<RecordSight> {
    let meta = &record.metadata;
    Some(RecordSight {
        namespace: meta.namespace.clone()?,
        name: meta.name.clone()?,
        uid: meta.uid.clone()?,
        version: meta.resource_version.clone().unwrap_or_default(),
        created: meta.creation_timestamp.as_ref()?.0,
        ours: is_our_record(record.labels().iter().map(|(key, value)| (key.as_str(), value.as_str()))),
        terminating: meta.deletion_timestamp.is_some(),
    })
}

/// Templates by what names them: the digest of each, and its parent.
#[derive(Debug, Default)]
pub struct Lineage<'a>(BTreeMap<TemplateKey, (Digest, Option<&'a TemplateRef>)>);

impl<'a> Lineage<'a> {
    /// Those of a library.
    #[must_use]
    pub fn of(library: &'a Library) -> Self {
        let mut templates = BTreeMap::new();
        for template in library.templates.seen().unwrap_or_default() {
            let namespace = template.namespace().unwrap_or_default();
            let key = TemplateKey::Namespaced { namespace, name: template.name_any() };
            let digest = template.digest.unwrap_or_else(|| template_digest(&template.spec));
            templates.insert(key, (digest, template.spec.inherits_from.as_ref()));
        }
        for template in library.cluster_templates.seen().unwrap_or_default() {
            let key = TemplateKey::OfCluster { name: template.name_any() };
            let digest = template.digest.unwrap_or_else(|| template_digest(&template.spec));
            templates.insert(key, (digest, template.spec.inherits_from.as_ref()));
        }
        Self(templates)
    }

    /// What a record of the Sandbox would hold.
    #[must_use]
    pub fn contents(&self, sandbox: &Sandbox) -> Contents {
        let namespace = sandbox.namespace().unwrap_or_default();
        let templates = self.followed(&namespace, sandbox.spec.template_ref.as_ref());
        Contents {
            sandbox: sandbox.name_any(),
            digest: sandbox.digest.unwrap_or_else(|| recorded_digest(sandbox)),
            templates: templates
                .into_iter()
                .map(|key| {
                    let (kind, namespace, name) = key.parts();
                    TemplateSight {
                        kind: kind.to_owned(),
                        namespace: namespace.map(str::to_owned),
                        name: name.to_owned(),
                        digest: self.0.get(&key).map(|(digest, _)| *digest),
                    }
                })
                .collect(),
        }
    }

    /// The template that is named, its parent, and so on, as far as AgentTier would follow; the last one may be
    /// missing.
    fn followed(&self, namespace: &str, named: Option<&TemplateRef>) -> Vec<TemplateKey> {
        let mut followed = Vec::new();
        let mut next = named;
        while let Some(reference) = next {
            let key = reference.key(namespace);
            if followed.contains(&key) || followed.len() >= LONGEST_LINEAGE {
                break;
            }
            next = self.0.get(&key).and_then(|(_, parent)| *parent);
            followed.push(key);
        }
        followed
    }
}

/// The digest of what a record holds of a Sandbox.
#[must_use]
pub fn recorded_digest(sandbox: &Sandbox) -> Digest {
    Digest::of(&serde_json::to_value(RecordedSandbox::of(sandbox)).unwrap_or_default())
}

/// The digest of what a template says.
#[must_use]
pub fn template_digest(spec: &TemplateSpec) -> Digest {
    Digest::of(&serde_json::to_value(spec).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::super::trim::Trim;
    use super::*;

    fn read<K: DeserializeOwned>(value: Value) -> K {
        serde_json::from_value(value).expect("an object")
    }

    fn trimmed<K: DeserializeOwned + Trim>(value: Value) -> Arc<K> {
        let mut object: K = read(value);
        object.trim();
        Arc::new(object)
    }

    fn template(namespace: &str, name: &str, spec: &Value) -> Value {
        json!({ "metadata": { "namespace": namespace, "name": name }, "spec": spec })
    }

    fn sandbox(template: &Value) -> Value {
        json!({
            "metadata": { "namespace": "team-a", "name": "s1", "uid": "u1", "labels": { "a": "b" } },
            "spec": { "templateRef": template, "env": [{ "name": "A" }] },
            "status": { "phase": "Running" },
        })
    }

    fn library() -> Library {
        Library {
            records: Holding::Seen(vec![]),
            templates: Holding::Seen(vec![
                trimmed(template(
                    "team-a",
                    "own",
                    &json!({ "inheritsFrom": { "name": "shared", "namespace": "lib" } }),
                )),
                trimmed(template(
                    "lib",
                    "shared",
                    &json!({ "inheritsFrom": { "name": "base", "kind": "ClusterSandboxTemplate" }, "image": {} }),
                )),
                trimmed(template("team-a", "ring", &json!({ "inheritsFrom": { "name": "ring" } }))),
            ]),
            cluster_templates: Holding::Seen(vec![trimmed(
                json!({ "metadata": { "name": "base" }, "spec": { "inheritsFrom": { "name": "lost" } } }),
            )]),
        }
    }

    fn followed(library: &Library, named: &Value) -> Vec<String> {
        let contents = Lineage::of(library).contents(&read(sandbox(named)));
        let told = contents.templates.iter().map(|template| {
            let there = if template.digest.is_some() { "" } else { " missing" };
            format!("{}/{}{there}", template.namespace.as_deref().unwrap_or_default(), template.name)
        });
        told.collect()
    }

    #[test]
    fn a_line_of_parents_is_followed_to_its_end() {
        let library = library();
        assert_eq!(
            followed(&library, &json!({ "name": "own" })),
            ["team-a/own", "lib/shared", "/base", "team-a/lost missing"]
        );
        assert_eq!(followed(&library, &json!({ "name": "ring" })), ["team-a/ring"], "once round is enough");
        assert_eq!(followed(&library, &json!(null)), [""; 0]);
        let refused = Library { templates: Holding::Refused, ..library };
        assert_eq!(followed(&refused, &json!({ "name": "own" })), ["team-a/own missing"]);
    }

    /// The passes see what was cut down, and the record is made from what was not.
    #[test]
    fn what_was_cut_down_says_the_same_as_the_whole() {
        let whole: Sandbox = read(sandbox(&json!({ "name": "own" })));
        let cut: Arc<Sandbox> = trimmed(sandbox(&json!({ "name": "own" })));
        assert!(cut.spec.other.is_empty() && cut.metadata.labels.is_some());
        let library = library();
        let lineage = Lineage::of(&library);
        assert_eq!(lineage.contents(&cut), lineage.contents(&whole));
        let spec = json!({ "inheritsFrom": { "name": "shared", "namespace": "lib" } });
        let template: TemplateSpec = read(spec);
        assert_eq!(lineage.contents(&cut).templates[0].digest, Some(template_digest(&template)));
    }

    #[test]
    fn nothing_is_said_of_records_before_the_templates_are_seen() {
        assert!(library().records().is_some() && library().is_whole());
        let unseen = Library { cluster_templates: Holding::Unseen, ..library() };
        assert!(unseen.records().is_none() && !unseen.is_whole());
        let refused = Library { cluster_templates: Holding::Refused, ..library() };
        assert!(refused.records().is_some() && !refused.is_whole());
        assert!(Library { records: Holding::Refused, ..library() }.records().is_none());
    }
}
