//! The template kinds: their parents, and everything else untouched.

use std::borrow::Cow;
use std::fmt::Debug;
use std::marker::PhantomData;

use agenttier_backup_plan::Digest;
use kube::Resource;
use kube::core::{ClusterResourceScope, NamespaceResourceScope, ObjectMeta};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::TemplateRef;

/// A template of one namespace, for Sandboxes there and, where they name it, elsewhere.
pub type SandboxTemplate = Template<Namespaced>;
/// A template of the cluster.
pub type ClusterSandboxTemplate = Template<OfCluster>;

/// What Sandboxes share.
///
/// Written out for the same reason as [`Sandbox`](super::Sandbox): a template needs no `spec`.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", bound = "")]
pub struct Template<R: Realm> {
    /// Name, namespace and the rest.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What it says.
    #[serde(default)]
    pub spec: TemplateSpec,
    /// The digest of the whole spec, where this is a copy that has been cut down.
    #[serde(skip)]
    pub digest: Option<Digest>,
    #[serde(skip)]
    realm: PhantomData<R>,
}

/// What a template says.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct TemplateSpec {
    /// Its parent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inherits_from: Option<TemplateRef>,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Where templates of a kind live.
pub trait Realm: Debug + Clone + Default + PartialEq + Send + Sync + Unpin + 'static {
    /// The scope, as Kubernetes has it.
    type Scope;
    /// The kind.
    const KIND: &str;
    /// The kind's plural.
    const PLURAL: &str;
}

/// In a namespace.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Namespaced;

/// In none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OfCluster;

impl Realm for Namespaced {
    type Scope = NamespaceResourceScope;
    const KIND: &str = "SandboxTemplate";
    const PLURAL: &str = "sandboxtemplates";
}

impl Realm for OfCluster {
    type Scope = ClusterResourceScope;
    const KIND: &str = "ClusterSandboxTemplate";
    const PLURAL: &str = "clustersandboxtemplates";
}

impl<R: Realm> Default for Template<R> {
    fn default() -> Self {
        Self {
            metadata: ObjectMeta::default(),
            spec: TemplateSpec::default(),
            digest: None,
            realm: PhantomData,
        }
    }
}

impl<R: Realm> Resource for Template<R> {
    type DynamicType = ();
    type Scope = R::Scope;

    fn kind((): &()) -> Cow<'_, str> {
        R::KIND.into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "agenttier.io".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1alpha1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        R::PLURAL.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// Which template is meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum TemplateKey {
    /// A SandboxTemplate.
    Namespaced {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// A ClusterSandboxTemplate.
    OfCluster {
        /// Its name.
        name: String,
    },
    /// Of a kind that AgentTier does not know: it resolves to nothing.
    Unknown {
        /// The kind.
        kind: String,
        /// The name.
        name: String,
    },
}

impl TemplateRef {
    /// What it means for a Sandbox in that namespace. Parents are looked up as if the Sandbox itself named them.
    /// Source: AgentTier's template resolver.
    #[must_use]
    pub fn key(&self, sandboxes: &str) -> TemplateKey {
        let name = self.name.clone();
        match self.kind.as_deref().unwrap_or_default() {
            "" | Namespaced::KIND => {
                let named = self.namespace.as_deref().filter(|namespace| !namespace.is_empty());
                TemplateKey::Namespaced { namespace: named.unwrap_or(sandboxes).to_owned(), name }
            }
            OfCluster::KIND => TemplateKey::OfCluster { name },
            unknown => TemplateKey::Unknown { kind: unknown.to_owned(), name },
        }
    }
}

impl TemplateKey {
    /// Kind, namespace and name.
    #[must_use]
    pub fn parts(&self) -> (&str, Option<&str>, &str) {
        match self {
            Self::Namespaced { namespace, name } => (Namespaced::KIND, Some(namespace), name),
            Self::OfCluster { name } => (OfCluster::KIND, None, name),
            Self::Unknown { kind, name } => (kind, None, name),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reference_means_a_template_of_the_sandboxs_own_namespace_unless_it_says_otherwise() {
        let key = |reference: Value| {
            let reference: TemplateRef = serde_json::from_value(reference).expect("a reference");
            let key = reference.key("team-a");
            let (kind, namespace, name) = key.parts();
            format!("{kind} {}/{name}", namespace.unwrap_or_default())
        };
        assert_eq!(key(json!({ "name": "t" })), "SandboxTemplate team-a/t");
        assert_eq!(key(json!({ "name": "t", "kind": "", "namespace": "" })), "SandboxTemplate team-a/t");
        assert_eq!(key(json!({ "name": "t", "namespace": "shared" })), "SandboxTemplate shared/t");
        let cluster = json!({ "name": "t", "kind": "ClusterSandboxTemplate", "namespace": "any" });
        assert_eq!(key(cluster), "ClusterSandboxTemplate /t");
        assert_eq!(key(json!({ "name": "t", "kind": "Parked" })), "Parked /t");
    }

    #[test]
    fn a_template_may_say_nothing_and_what_it_says_stays() {
        let bare: SandboxTemplate =
            serde_json::from_value(json!({ "metadata": { "name": "t" } })).expect("read");
        assert_eq!(bare.spec, TemplateSpec::default());
        let spec =
            json!({ "inheritsFrom": { "name": "base" }, "mode": "code", "image": { "repository": "r" } });
        let full: ClusterSandboxTemplate =
            serde_json::from_value(json!({ "metadata": {}, "spec": spec })).expect("read");
        assert_eq!(serde_json::to_value(&full.spec).expect("JSON"), spec);
    }
}
