//! Commands in the containers of pods, as they run on real nodes.

use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use serde_json::json;
use testbed::{Entry, Tree};

use crate::objects::{bound, create_claim, create_namespace, phase, pod_becomes, pods};
use crate::shared_cluster::testbed;

#[tokio::test]
async fn files_in_a_pod_are_written_and_listed_by_commands_in_it() {
    let ns = "files";
    let cluster = testbed().await.cluster("exec").nodes(1).pods_execute().start().await.unwrap();
    create_namespace(&cluster, ns).await;
    create_claim(&cluster, ns, "work", json!({})).await;
    bound(&cluster, ns, "work").await;
    let volume = cluster.volume(ns, "work").await.unwrap();
    // Its command's paths are this machine's: the volume is mounted where it is.
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "worker"},
        "spec": {
            "containers": [
                {"name": "proxy", "image": "none.invalid/none"},
                {"name": "main", "image": "none.invalid/none",
                 "volumeMounts": [{"name": "workspace", "mountPath": volume.path()}]},
            ],
            "volumes": [{"name": "workspace", "persistentVolumeClaim": {"claimName": "work"}}],
        },
    }))
    .unwrap();
    pods(&cluster, ns).create(&PostParams::default(), &pod).await.unwrap();
    pod_becomes(&cluster, ns, "worker", "running", |pod| phase(pod) == "Running").await;

    let folder = cluster.folder_in_pod(ns, "worker", "work", "experiment").await.unwrap();
    let noise: Vec<u8> = (0..1_000_003_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    folder.write("data/model.bin", &noise).await.unwrap();
    folder.write("notes/zweite Idee – ünïcode.md", b"kept\n").await.unwrap();
    folder.write("two\nlines 'and \"quotes\" $HOME", b"x").await.unwrap();
    folder.write("empty", b"").await.unwrap();
    folder.link("latest", "data/model.bin").await.unwrap();

    assert_eq!(volume.read("experiment/data/model.bin").unwrap(), noise);
    let seen = folder.tree().await.unwrap();
    assert_eq!(seen, without_modes(volume.tree().unwrap()), "both ways tell the same");
    assert_eq!(seen.len(), 7);

    volume.write("experiment/data/model.bin", &noise[1..]).unwrap();
    let changed = testbed::difference(&seen, &folder.tree().await.unwrap());
    assert_eq!(changed.len(), 1, "{changed:?}");

    let refusal = folder.write("empty/below", b"x").await.unwrap_err();
    assert!(format!("{refusal:#}").contains("empty"), "a command's complaint is passed on: {refusal:#}");
    let other = cluster.folder_in_pod(ns, "worker", "other", "").await.unwrap_err().to_string();
    assert!(other.contains("mounts the claim other"), "{other}");
    cluster.stop().await.unwrap();
}

/// The entries below `experiment`, as they are without their permission bits.
fn without_modes(tree: Tree) -> Tree {
    let below = |(path, entry): (std::path::PathBuf, Entry)| {
        let path = path.strip_prefix("experiment").ok()?.to_owned();
        let entry = match entry {
            Entry::Folder { .. } => Entry::Folder { mode: 0 },
            Entry::File { size, sha256, .. } => Entry::File { mode: 0, size, sha256 },
            link @ Entry::Link(_) => link,
        };
        (!path.as_os_str().is_empty()).then_some((path, entry))
    };
    tree.into_iter().filter_map(below).collect()
}
