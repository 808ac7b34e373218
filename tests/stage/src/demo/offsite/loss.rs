//! The chapter in which the cluster is lost.

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use stage::Stage;
use testbed::until;

use super::super::outside::Outside;
use super::super::screen::Screen;
use super::super::venue::Venue;

/// Kills every process of the cluster, and lets another one come up that knows nothing of it.
pub(super) async fn of_the_cluster(
    screen: &mut Screen,
    stage: &mut Stage,
    venue: &Venue,
    outside: &mut Outside,
) -> Result<()> {
    let chapter = screen.chapter("The whole cluster is lost");
    if outside.spares_the_first {
        chapter.say("with --keep it is not: it stays for you to look at, and nothing of it is used any more");
    } else {
        chapter.waiting("every process of it is killed");
        stage.stop_agenttier().await;
        stage.cluster.kill_all().await?;
        let client = &stage.client;
        until("the API server to be gone", venue.patience(), || async {
            Ok(client.apiserver_version().await.is_err().then_some(()))
        })
        .await?;
        chapter.say("etcd, the API server and all others are killed; with etcd goes every object");
    }
    chapter.waiting("another control plane comes up");
    outside.start_refuge(stage.cluster.driver_root()).await?;
    let refuge = outside.refuge()?;
    let namespaces = Api::<Namespace>::all(refuge.client()).list(&ListParams::default()).await?.items;
    let names: Vec<_> = namespaces.iter().map(ResourceExt::name_any).collect();
    ensure!(!names.iter().any(|name| name == venue.namespace()), "the other cluster is not new");
    chapter.say(format!("another one comes up, with the namespaces {}", names.join(", ")));
    chapter.done("left are the store, and the storage with its snapshots");
    Ok(())
}
