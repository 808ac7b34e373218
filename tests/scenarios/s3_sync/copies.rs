//! There and back.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::SystemTime;

use testbed::{Entry, tree};

use super::recipe::{BUCKET, Site};
use super::workspace::{assert_same, fill, names_of, noise, set_mode, times, unkept, without_unkept, write};

const CURRENT: &str = "current/team-a/s1";
const REPLACED: &str = "replaced/team-a/s1";

/// The one folder in `replaced`, named by when its run began.
fn replaced(site: &Site) -> String {
    let runs = fs::read_dir(site.store.bucket(BUCKET).join(REPLACED)).unwrap();
    let runs = runs.map(|run| run.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>();
    let [run] = &runs[..] else { panic!("{runs:?}") };
    jiff::civil::DateTime::strptime("%Y-%m-%dT%H%M%SZ", run).unwrap();
    format!("{REPLACED}/{run}")
}

/// How many requests with a method the store has answered well.
fn answered(site: &Site, method: &str) -> usize {
    let log = site.store.process().log().unwrap();
    log.lines().filter(|line| line.starts_with(method) && line.ends_with(": done")).count()
}

#[tokio::test]
async fn a_workspace_goes_to_s3_and_comes_back() {
    let site = Site::set().await;
    let workspace = site.workspace("s1");
    fill(&workspace);
    unkept(&workspace);
    let begun = SystemTime::now();
    let wanted = without_unkept(&workspace);
    let written = times(&workspace, &wanted);
    site.synced(&workspace).await;
    assert_same(&wanted, &without_unkept(&workspace));

    let keys = site.store.objects(BUCKET).unwrap();
    let leaves = wanted.values().filter(|entry| !matches!(entry, Entry::Folder { .. })).count();
    assert_eq!(keys.len(), leaves, "{keys:#?}");
    assert!(keys.iter().all(|key| key.starts_with(&format!("{CURRENT}/"))), "{keys:#?}");

    let back = site.restored("back", None).await;
    let found = tree(&back).unwrap();
    assert_same(&wanted, &found);
    assert_eq!(times(&back, &found), written);
    // Folders are as old as the restore.
    let made = |folder: &str| fs::metadata(back.join(folder)).unwrap().modified().unwrap();
    assert!(made("folder") > begun && made("no files/in here") > begun);
    // One file by two names has become two files.
    assert_eq!((names_of(&workspace, "run.sh"), names_of(&back, "run.sh")), (2, 1));
    // And that is a workspace as good as the first.
    site.synced(&back).await;
    assert_same(&wanted, &tree(&site.restored("again", None).await).unwrap());
}

#[tokio::test]
async fn changes_and_deletions_follow_and_what_they_replace_is_kept() {
    let site = Site::set().await;
    let workspace = site.workspace("s1");
    fill(&workspace);
    site.synced(&workspace).await;
    let before = tree(&workspace).unwrap();
    let written_before = times(&workspace, &before);

    write(&workspace, "empty", "no more");
    write(&workspace, "new/file", "new");
    write(&workspace, "grown", noise(6_000_000));
    let gone = ["new\nline", "\u{1f980}/\u{4e16}\u{754c} \u{5d0}.txt", "to-file", "noise", "old"];
    for file in gone {
        fs::remove_file(workspace.join(file)).unwrap();
    }
    fs::remove_dir(workspace.join("\u{1f980}")).unwrap();
    fs::remove_dir_all(workspace.join("no files")).unwrap();
    fs::remove_file(workspace.join("to-nothing")).unwrap();
    symlink("somewhere else", workspace.join("to-nothing")).unwrap();
    let wanted = tree(&workspace).unwrap();
    let written = times(&workspace, &wanted);
    site.synced_in_parts(&workspace).await;
    let back = site.restored("back", None).await;
    assert_same(&wanted, &tree(&back).unwrap());
    assert_eq!(times(&back, &wanted), written);

    // All that was there before is still somewhere: byte for byte, with its mode and time.
    let earlier = site.restored("earlier", Some(&replaced(&site))).await;
    let mut found = tree(&earlier).unwrap();
    found.retain(|_, entry| !matches!(entry, Entry::Folder { .. }));
    let is_replaced = |path: &Path| wanted.get(path) != before.get(path);
    let mut kept = before.clone();
    kept.retain(|path, entry| !matches!(entry, Entry::Folder { .. }) && is_replaced(path));
    assert_eq!(kept.len(), gone.len() + 2);
    assert_same(&kept, &found);
    let mut written = written_before;
    written.retain(|path, _| kept.contains_key(path));
    assert_eq!(times(&earlier, &kept), written);

    // With nothing to do, nothing is written. Of each object the store is asked its time.
    let requests = ["PUT", "POST", "DELETE"].map(|method| answered(&site, method));
    let asked = answered(&site, "HEAD");
    site.synced(&workspace).await;
    assert_eq!(["PUT", "POST", "DELETE"].map(|method| answered(&site, method)), requests);
    let objects = site.store.objects(BUCKET).unwrap();
    let current = objects.iter().filter(|key| key.starts_with(CURRENT)).count();
    assert!((current..current + 10).contains(&(answered(&site, "HEAD") - asked)));

    // A mode alone is no change.
    set_mode(&workspace, "run.sh", 0o600);
    site.synced(&workspace).await;
    assert_same(&wanted, &tree(&site.restored("late", None).await).unwrap());
}

/// As when a sandbox wakes on another volume than its own, or somebody deletes too much.
#[tokio::test]
async fn a_workspace_that_has_lost_its_files_can_be_had_back() {
    let site = Site::set().await;
    let workspace = site.workspace("s1");
    fill(&workspace);
    let mut wanted = tree(&workspace).unwrap();
    site.synced(&workspace).await;
    let other = site.workspace("other");
    write(&other, "since", "on another volume");
    site.synced(&other).await;
    let current = site.store.bucket(BUCKET).join(CURRENT);
    assert!(!current.join("run.sh").exists() && !current.join("folder").exists());
    assert!(current.join("since").exists());
    // But for folders that hold nothing.
    wanted.retain(|path, _| !path.starts_with("no files"));
    let back = site.restored("back", Some(&replaced(&site))).await;
    assert_same(&wanted, &tree(&back).unwrap());
}
