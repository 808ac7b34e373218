//! Who does AgentTier's part.

use anyhow::{Context as _, Result};
use double::cluster_templates;
use kube::api::{DynamicObject, ListParams};
use kube::{Api, Client, ResourceExt};

use super::Problem;
use crate::demo::belongings::{is_ours, kind};
use crate::demo::venue::TEMPLATE;

/// Who does AgentTier's part.
#[derive(Debug)]
pub(in crate::demo) enum AgentTier {
    /// The one that is installed.
    Installed {
        /// The `ClusterSandboxTemplate` that the demo's sandboxes will follow.
        template: String,
    },
    /// Its double, with CRDs of its own.
    Played,
}

/// Looks for AgentTier.
pub(super) async fn look(
    client: &Client,
    with_double: bool,
    problems: &mut Vec<Problem>,
) -> Result<Option<AgentTier>> {
    let mut found = vec![];
    for theirs in double::crds().iter().map(ResourceExt::name_any) {
        // What an earlier demo has left does not count.
        found.extend(kind(client, &theirs).await?.filter(|kind| !is_ours(kind)).map(|kind| kind.name_any()));
    }
    match (with_double, found.is_empty()) {
        (true, true) => Ok(Some(AgentTier::Played)),
        (true, false) => {
            problems.push(Problem::new(
                format!("AgentTier cannot be played where it is installed: there is {}", found.join(", ")),
                "leave --with-double away: the AgentTier that is there does its part",
            ));
            Ok(None)
        }
        (false, true) => {
            problems.push(Problem::new(
                "AgentTier is not installed: there is no CRD sandboxes.agenttier.io",
                "install AgentTier, or add --with-double, and its part is played for the time of the story",
            ));
            Ok(None)
        }
        (false, false) => {
            Ok(template(client, problems).await?.map(|template| AgentTier::Installed { template }))
        }
    }
}

/// The template that most have, or any.
async fn template(client: &Client, problems: &mut Vec<Problem>) -> Result<Option<String>> {
    let templates: Api<DynamicObject> = Api::all_with(client.clone(), &cluster_templates());
    let templates =
        templates.list(&ListParams::default()).await.context("list the ClusterSandboxTemplates")?;
    let names: Vec<_> = templates.items.iter().map(ResourceExt::name_any).collect();
    let template = names.iter().find(|name| *name == TEMPLATE).or(names.first()).cloned();
    if template.is_none() {
        problems.push(Problem::new(
            "there is no ClusterSandboxTemplate for the demo's sandboxes to follow",
            format!("create one; if there is one called {TEMPLATE}, it is taken"),
        ));
    }
    Ok(template)
}
