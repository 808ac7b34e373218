//! Nodes to lose one of.

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::{Api, Client};

use super::Problem;
use crate::demo::belongings::is_killed;
use crate::demo::death::is_ready;

/// One dies and another has to take over.
const NEEDED: usize = 2;

/// How many nodes pods can be scheduled to.
pub(super) async fn count(client: &Client, problems: &mut Vec<Problem>) -> Result<usize> {
    let nodes: Api<Node> = Api::all(client.clone());
    let nodes = nodes.list(&ListParams::default()).await.context("list the nodes")?;
    // One that an earlier demo has killed lives again before this one begins.
    let usable = nodes.items.iter().filter(|node| is_usable(node) || is_killed(*node)).count();
    if usable < NEEDED {
        problems.push(Problem::new(
            format!(
                "{usable} of {} nodes can take pods: one is to die and another to take over",
                nodes.items.len()
            ),
            "add nodes until two are Ready and neither cordoned nor tainted",
        ));
    }
    Ok(usable)
}

fn is_usable(node: &Node) -> bool {
    let spec = node.spec.as_ref();
    let cordoned = spec.and_then(|spec| spec.unschedulable).unwrap_or_default();
    let mut taints = spec.and_then(|spec| spec.taints.as_ref()).into_iter().flatten();
    is_ready(node) && !cordoned && !taints.any(|taint| taint.effect != "PreferNoSchedule")
}
