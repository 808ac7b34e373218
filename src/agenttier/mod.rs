//! What AgentTier owns: its Sandbox kind, its names, its labels.
//!
//! Source: AgentTier 0.8's CRDs and controller.

mod names;
mod sandbox;
mod template;

pub use names::{
    ACTION_ANNOTATION, ACTION_STOP, CLONED_FROM_SNAPSHOT_LABEL, SANDBOX_LABEL, SECRET_PURPOSE,
    TRANSIENT_SECRETS, WILL_RESTART, pod_name, workspace_claim,
};
pub use sandbox::{Sandbox, SandboxSpec, SandboxStatus, Storage, TemplateRef};
pub use template::{
    ClusterSandboxTemplate, Namespaced, OfCluster, Realm, SandboxTemplate, Template, TemplateKey,
    TemplateSpec,
};
