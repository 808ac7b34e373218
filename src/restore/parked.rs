//! The status that a restored Sandbox is given, with which it rests on its volume until it is started.

use serde_json::{Map, Value, json};

use super::prepare::Restore;
use crate::agenttier::Sandbox;

/// The status of a stopped Sandbox on the restored volume, to be merged into that of the Sandbox as it was seen. Its pod
/// name is what keeps AgentTier from giving it a volume of the warm pool when it is started.
pub(super) fn parked(restore: &Restore, seen: Option<&Sandbox>) -> Value {
    let target = &restore.order.target;
    let mut status = json!({ "phase": "Stopped", "podName": target.pod(), "pvcName": target.claim() });
    if let Some(configured) = configured(restore, seen) {
        status["agentConfigure"] = configured;
    }
    status
}

/// What changes of the word of what was installed.
fn configured(restore: &Restore, seen: Option<&Sandbox>) -> Option<Value> {
    if seen.is_some_and(|sandbox| has_its_own(restore, sandbox)) {
        return None;
    }
    // If there is any, it is about another volume.
    let other = seen.and_then(agent_configure);
    match of_source(restore) {
        Some(configured) => Some(replacing(other, configured)),
        None => other.map(|_| Value::Null),
    }
}

/// What was installed in the source, where the Sandbox on the restored volume has no word of it: it was started before it
/// could be parked.
pub(super) fn missed<'r>(restore: &'r Restore, sandbox: &Sandbox) -> Option<&'r Value> {
    of_source(restore).filter(|_| agent_configure(sandbox).is_none())
}

/// What was installed in the source. It is on the volume; without word of it AgentTier refuses to invoke the agent.
fn of_source(restore: &Restore) -> Option<&Value> {
    agent_configure(&restore.source.as_ref()?.sandbox)
}

/// Whether the Sandbox has word of what was installed on the restored volume, which may be newer than the source's.
fn has_its_own(restore: &Restore, sandbox: &Sandbox) -> bool {
    let claim = restore.order.target.claim();
    sandbox.claim() == Some(claim.as_str()) && agent_configure(sandbox).is_some()
}

fn agent_configure(sandbox: &Sandbox) -> Option<&Value> {
    sandbox.status.as_ref()?.agent_configure.as_ref()
}

/// What makes one value of another by a JSON merge patch (RFC 7396), which alone leaves fields that it does not name.
fn replacing(old: Option<&Value>, new: &Value) -> Value {
    let (Some(Value::Object(old)), Value::Object(new)) = (old, new) else { return new.clone() };
    let gone = old.keys().filter(|key| !new.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let there = new.iter().map(|(key, value)| (key.clone(), replacing(old.get(key), value)));
    Value::Object(gone.chain(there).collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_replaced_leaves_nothing_behind() {
        let old = json!({ "hash": "a", "exit": 1, "log": { "name": "l", "key": "k" } });
        let new = json!({ "hash": "b", "log": { "name": "m" } });
        let patch = json!({ "hash": "b", "exit": null, "log": { "name": "m", "key": null } });
        assert_eq!(replacing(Some(&old), &new), patch);
        assert_eq!(replacing(None, &new), new);
    }
}
