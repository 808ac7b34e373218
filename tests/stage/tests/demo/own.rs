//! The story on a cluster of its own.

use std::path::Path;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Api;
use testbed::progress::Console;
use testbed::{Exit, Signal, Testbed};

use crate::program::{Demo, after, cell, gives_none_away};

#[tokio::test]
async fn the_story_is_told_and_its_figures_are_what_was_seen() {
    // Only for its folder: the demo brings its own.
    let testbed = Testbed::prepare(&Console::default()).await.unwrap();
    let place = testbed.cluster("place").start().await.unwrap();
    let demo = Demo::start(&place, "own", &[]).await;
    let said = demo.ends(Exit::Code(0)).await;

    let wrote = after(&said, "s1 on ");
    let node = wrote.split(' ').next().unwrap();
    assert_eq!(cell(&said, "dead node"), node, "{said}");
    assert!(wrote.ends_with(" wrote 6 files, 1048637 bytes, to s1-workspace"), "{wrote}");
    assert_eq!(cell(&said, "files compared"), "6, 1048637 bytes, none different");
    assert_eq!(cell(&said, "restored from the newest since"), after(&said, "\n   from "));
    assert_eq!(cell(&said, "restored as"), "s1-restored");
    gives_none_away(&said);
    let seconds = |row: &str| -> f64 { cell(&said, row).split(' ').next().unwrap().parse().unwrap() };
    let exposed = seconds("newest recovery point when the node died (RPO)");
    assert!((0.0..300.0).contains(&exposed), "one every 10 s, on a busy machine: {said}");
    let took = seconds("time to restore (RTO)");
    assert!(took > 0.0 && took < 600.0, "{said}");

    let taken = said.lines().filter(|line| line.starts_with("   + ")).count();
    let pruned = said.lines().filter(|line| line.starts_with("   - ")).count();
    assert!(said.contains(&format!("✔ {taken} taken, {pruned} pruned past 25s")), "{said}");
    assert!(pruned >= 2, "{said}");

    // Velero's part: what each chapter saw is what the next one went by.
    assert!(said.contains("✔ Velero v") && said.contains(" is Available ("), "{said}");
    let cron = after(&said, "\n   east-team-a: ");
    assert!(cron.starts_with("\"CRON_TZ=UTC ") && cron.ends_with(" * * *\""), "{cron}");
    assert!(after(&said, "✔ put back after ").contains(&format!("s: {cron}, kept for 720h0m0s (")), "{said}");
    assert!(after(&said, "now \"0 0 1 1 *\"").starts_with(", kept for 1h"), "{said}");
    let backup = after(&said, "\n   Backup ").split(',').next().unwrap();
    assert!(backup.starts_with("east-team-a-2"), "{backup}");
    assert!(said.contains(&format!("bytes, are in the store under backups/{backup}/")), "{said}");
    let held = after(&said, "\n   in it: ");
    // One that was given to the restored sandbox, and is left.
    let given: usize = cell(&said, "warm-pool volumes that it was given").parse().unwrap();
    for (kind, count) in [("Sandbox", 3), ("PersistentVolumeClaim", 3 + given), ("VolumeSnapshot", 3 + given)]
    {
        assert!(held.contains(&format!("{kind} {count}, ")), "{held}");
    }
    assert!(
        said.contains("not in it: pods, which AgentTier makes anew; 2 volumes of the warm pool"),
        "{said}"
    );
    assert!(said.contains("etcd, the API server and all others are killed"), "{said}");
    assert_eq!(cell(&said, "lost"), "the whole cluster");
    assert_eq!(cell(&said, "backup in the store"), backup);
    let back = ["s1-restored-workspace", "s1-workspace", "s2-workspace"];
    assert_eq!(cell(&said, "volumes brought back in another cluster"), back.join(", "));
    for claim in back {
        assert!(said.contains(&format!("\n   {claim}: 6 files, 1048637 bytes: identical")), "{said}");
    }
    assert_eq!(cell(&said, "files of them compared"), "18, 3145911 bytes, none different");
    assert!(!said.contains('\u{1b}'), "no colours and no spinners where nobody sees them: {said:?}");

    place.stop().await.unwrap();
}

#[tokio::test]
async fn all_that_is_kept_can_be_looked_at_and_goes_at_ctrl_c() {
    let testbed = Testbed::prepare(&Console::default()).await.unwrap();
    let place = testbed.cluster("keeping").start().await.unwrap();
    let demo = Demo::start(&place, "kept", &["--keep"]).await;
    demo.says("Ctrl-C takes it all away").await;
    let said = demo.said();
    assert_eq!(cell(&said, "lost"), "nothing: the cluster is kept");
    let kubeconfigs: Vec<_> =
        said.lines().filter_map(|line| line.strip_prefix("  export KUBECONFIG=")).collect();
    assert_eq!(kubeconfigs.len(), 2, "the first cluster's and the other one's: {said}");
    for kubeconfig in kubeconfigs {
        let client = testbed::client_of(Path::new(kubeconfig)).await.unwrap();
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(client, "team-a");
        claims.get("s1-restored-workspace").await.unwrap();
    }
    demo.process().signal(Signal::Int).await.unwrap();
    demo.ends(Exit::Code(0)).await;
    place.stop().await.unwrap();
}
