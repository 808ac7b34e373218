//! Whether AgentTier's own backup loop is turned on, read off its controller's Deployment.

use std::collections::BTreeSet;

use agenttier_backup_plan::{AgentTierLoop, marks};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Container;

/// Label selector of the Deployments that may be AgentTier's controller (AgentTier 0.8, its chart).
pub(super) const CONTROLLERS: &str = "app.kubernetes.io/component=controller";

/// AgentTier's own default for the namespace that it works in.
const DEFAULT_NAMESPACE: &str = "default";

/// The namespaces that AgentTier's loop works in: there it takes snapshots, and deletes by age.
pub(super) fn looped_namespaces<'a>(
    deployments: impl IntoIterator<Item = &'a Deployment>,
) -> BTreeSet<String> {
    let containers = deployments.into_iter().flat_map(|deployment| {
        let spec = deployment.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
        spec.into_iter().flat_map(|spec| &spec.containers)
    });
    containers.filter(|container| backs_up(container)).map(namespace_of).collect()
}

/// What the loop does with a claim of these labels in a namespace.
pub(super) fn loop_over(
    looped: &BTreeSet<String>,
    namespace: &str,
    labels: &std::collections::BTreeMap<String, String>,
) -> AgentTierLoop {
    let is_true = |key: &str| labels.get(key).is_some_and(|value| value == "true");
    match () {
        () if !looped.contains(namespace) => AgentTierLoop::Off,
        () if is_true(marks::MANAGED) && !is_true(marks::POOLED) => AgentTierLoop::Covers,
        () => AgentTierLoop::Sweeps,
    }
}

fn words(container: &Container) -> impl Iterator<Item = &str> {
    container.command.iter().chain(&container.args).flatten().map(String::as_str)
}

/// Go's flags: `-name`, `--name` and `--name=true` are the same.
fn backs_up(container: &Container) -> bool {
    let value = words(container).filter_map(|word| flag(word, "backup-snapshots")).last();
    value.is_some_and(|value| matches!(value, "" | "true" | "1" | "t" | "T" | "TRUE" | "True"))
}

/// The value of a flag, empty where it has none.
fn flag<'w>(word: &'w str, name: &str) -> Option<&'w str> {
    let word = word.strip_prefix("--").or_else(|| word.strip_prefix('-'))?;
    let rest = word.strip_prefix(name)?;
    if rest.is_empty() { Some("") } else { rest.strip_prefix('=') }
}

fn namespace_of(container: &Container) -> String {
    let by_flag =
        words(container).filter_map(|word| flag(word, "sandbox-namespace")).last().map(str::to_owned);
    let by_env = || {
        let env = container.env.iter().flatten().find(|env| env.name == "SANDBOX_NAMESPACE");
        env.and_then(|env| env.value.clone())
    };
    let named = by_flag.filter(|name| !name.is_empty()).or_else(by_env).filter(|name| !name.is_empty());
    named.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn looped(container: &Value) -> Vec<String> {
        let deployment = json!({
            "spec": { "selector": {}, "template": { "spec": { "containers": [container] } } },
        });
        let deployment: Deployment = serde_json::from_value(deployment).expect("a Deployment");
        looped_namespaces([&deployment]).into_iter().collect()
    }

    #[test]
    fn it_is_read_off_the_arguments() {
        let with = |args: &[&str]| {
            looped(&json!({
                "name": "controller", "args": args, "env": [{ "name": "SANDBOX_NAMESPACE", "value": "agents" }],
            }))
        };
        assert_eq!(with(&["--leader-elect", "--backup-snapshots", "--backup-interval=6h"]), ["agents"]);
        assert_eq!(with(&["-backup-snapshots=true"]), ["agents"]);
        assert_eq!(with(&["--backup-snapshots", "--sandbox-namespace=team-a"]), ["team-a"]);
        for off in [
            &["--backup-snapshots=false"][..],
            &["--backup-snapshot-class=c"],
            &["--backup-interval=6h"],
            &[],
        ] {
            assert_eq!(with(off), [""; 0], "{off:?}");
        }
        assert_eq!(looped(&json!({ "name": "controller", "args": ["--backup-snapshots"] })), ["default"]);
    }

    #[test]
    fn it_covers_what_is_labelled_and_sweeps_through_the_rest() {
        let here = BTreeSet::from(["agents".to_owned()]);
        let labels = |keys: &[&str]| keys.iter().map(|key| ((*key).to_owned(), "true".to_owned())).collect();
        assert_eq!(loop_over(&here, "agents", &labels(&[marks::MANAGED])), AgentTierLoop::Covers);
        assert_eq!(loop_over(&here, "agents", &labels(&[])), AgentTierLoop::Sweeps, "a warm-claimed one");
        assert_eq!(
            loop_over(&here, "agents", &labels(&[marks::MANAGED, marks::POOLED])),
            AgentTierLoop::Sweeps
        );
        assert_eq!(loop_over(&here, "elsewhere", &labels(&[marks::MANAGED])), AgentTierLoop::Off);
    }
}
