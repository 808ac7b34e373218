//! The names and labels that AgentTier gives to a Sandbox's own objects.

/// Label on a workspace claim: the Sandbox that it belongs to.
pub const SANDBOX_LABEL: &str = "agenttier.io/sandbox";
/// Label that AgentTier puts on a claim made by `spec.cloneFromSnapshot`: the VolumeSnapshot.
pub const CLONED_FROM_SNAPSHOT_LABEL: &str = "agenttier.io/cloned-from-snapshot";
/// Annotation on a Sandbox that asks AgentTier for something; taken only while it is Running.
pub const ACTION_ANNOTATION: &str = "agenttier.io/action";
/// The value of [`ACTION_ANNOTATION`] that stops a Sandbox.
pub const ACTION_STOP: &str = "stop";
/// In the message of an Error that AgentTier ends by itself, and in no other: it finds it by these words.
pub const WILL_RESTART: &str = "before restart attempt";

/// The claim that AgentTier makes for a Sandbox, or adopts as it is when it exists.
#[must_use]
pub fn workspace_claim(sandbox: &str) -> String {
    format!("{sandbox}-workspace")
}

/// The pod that AgentTier runs a Sandbox in.
#[must_use]
pub fn pod_name(sandbox: &str) -> String {
    format!("{sandbox}-pod")
}

/// Label on Secrets that AgentTier makes: what for.
pub const SECRET_PURPOSE: &str = "agenttier.io/secret-purpose";
/// Values of [`SECRET_PURPOSE`] of Secrets that live as long as a pod. A copy that comes back revives a revoked key.
pub const TRANSIENT_SECRETS: [&str; 2] = ["runtime-token", "scoped-api-key"];
