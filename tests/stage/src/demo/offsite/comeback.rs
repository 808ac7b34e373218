//! The chapter in which Velero brings the volumes back, in another cluster.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use comfy_table::{Table, presets};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Api;
use kube::api::{ListParams, PostParams};
use testbed::{Cluster, Tree, VELERO_NAMESPACE, until};
use velero::{Backup, Restore, RestorePhase, RestoreSpec};

use super::super::outside::Outside;
use super::super::recovery::Restored;
use super::super::screen::{Chapter, Screen};
use super::super::story::Worker;
use super::super::venue::Venue;
use super::super::work;

/// What is restored: claims, and the snapshots that they are filled from. Sandboxes would need AgentTier.
const RESOURCES: [&str; 3] = [
    "persistentvolumeclaims",
    "volumesnapshots.snapshot.storage.k8s.io",
    "volumesnapshotcontents.snapshot.storage.k8s.io",
];

/// Restores the backup's volumes, compares them with what was written, and sums up.
pub(super) async fn to_another_cluster(
    screen: &mut Screen,
    venue: &Venue,
    outside: &Outside,
    backup: &str,
    workers: &[Worker],
    restored: &Restored,
) -> Result<()> {
    let chapter = screen.chapter("Velero brings the volumes back, in the other cluster");
    let refuge = outside.refuge()?;
    let begun = Instant::now();
    chapter.waiting("starting Velero's server there");
    let velero = outside.velero(refuge)?;
    velero.install().await?;
    chapter.waiting("Velero reads the store");
    velero.sync().await?;
    let backups: Api<Backup> = Api::namespaced(refuge.client(), VELERO_NAMESPACE);
    until(&format!("Velero to find {backup}"), venue.patience(), || async {
        Ok(backups.get_opt(backup).await?)
    })
    .await?;
    chapter.say(format!("a Velero there, with the same store, finds {backup}"));
    let restore = restore(&chapter, refuge, venue, backup).await?;
    chapter.say(format!("Restore {restore}: claims, into the namespace {}", venue.namespace()));

    chapter.waiting("the claims are bound");
    let mut claims = bound(refuge, venue).await?;
    let took = begun.elapsed();
    chapter.waiting("reading all volumes");
    let mut written: Vec<(&str, &Tree)> =
        workers.iter().map(|worker| (worker.claim.as_str(), &worker.files)).collect();
    let victim = workers.first().context("there is a sandbox that was restored")?;
    written.push((&restored.claim, &victim.files));
    written.sort_unstable_by_key(|(claim, _)| *claim);
    // A sandbox that was given one of these, and put back, has left it behind: an ordinary volume since.
    claims.retain(|claim| !claim.starts_with("pool-"));
    ensure!(
        claims.iter().eq(written.iter().map(|(claim, _)| claim)),
        "{claims:?} came back, and not what the sandboxes have"
    );
    let (mut files, mut bytes) = (0, 0);
    for (claim, before) in written {
        let found = refuge.volume(venue.namespace(), claim).await?.tree()?;
        let differences = testbed::difference(before, &found);
        ensure!(differences.is_empty(), "the files of {claim} differ: {}", differences.join(", "));
        let (count, size) = work::size(&found);
        chapter.say(format!("{claim}: {count} files, {size} bytes: identical"));
        (files, bytes) = (files + count, bytes + size);
    }
    chapter.done(format!("{files} files of {} volumes, byte by byte", claims.len()));

    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(["what", "seen"]);
    let lost = if outside.spares_the_first { "nothing: the cluster is kept" } else { "the whole cluster" };
    table.add_row(["lost", lost]);
    table.add_row(["backup in the store", backup]);
    table.add_row(["volumes brought back in another cluster", &claims.join(", ")]);
    table.add_row(["Velero's start to the last volume", &format!("{:.1} s", took.as_secs_f64())]);
    table.add_row(["files of them compared", &format!("{files}, {bytes} bytes, none different")]);
    screen.print(table.to_string());
    Ok(())
}

/// Has Velero restore the namespace's volumes, and gives the name of the Restore once it has ended well.
async fn restore(chapter: &Chapter, refuge: &Cluster, venue: &Venue, backup: &str) -> Result<String> {
    let name = format!("{backup}-volumes");
    let spec = RestoreSpec {
        backup_name: Some(backup.to_owned()),
        // The Namespace objects of the whole cluster are in a backup that has a selector.
        included_namespaces: Some(vec![venue.namespace().to_owned()]),
        included_resources: Some(RESOURCES.map(str::to_owned).to_vec()),
        ..RestoreSpec::default()
    };
    let restores: Api<Restore> = Api::namespaced(refuge.client(), VELERO_NAMESPACE);
    restores.create(&PostParams::default(), &Restore::new(&name, spec)).await?;
    let status = until(&format!("the Restore {name} to end"), venue.patience(), || async {
        let status = restores.get(&name).await?.status.unwrap_or_default();
        let phase = status.phase.clone().unwrap_or(RestorePhase::New);
        chapter.waiting(format!("{phase:?}"));
        Ok(phase.is_finished().then_some(status))
    })
    .await?;
    let whole = status.phase.as_ref().is_some_and(RestorePhase::is_success);
    ensure!(whole, "the Restore {name} has not come to a good end: {status:?}");
    Ok(name)
}

/// The names of the claims that came back, once all are bound, in order.
async fn bound(refuge: &Cluster, venue: &Venue) -> Result<Vec<String>> {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(refuge.client(), venue.namespace());
    until("the claims that came back to be bound", venue.patience(), || async {
        let claims = claims.list(&ListParams::default()).await?.items;
        let is_bound = |claim: &PersistentVolumeClaim| {
            claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound")
        };
        let mut names: Vec<_> = claims.iter().filter_map(|claim| claim.metadata.name.clone()).collect();
        names.sort_unstable();
        Ok(claims.iter().all(is_bound).then_some(names))
    })
    .await
}
