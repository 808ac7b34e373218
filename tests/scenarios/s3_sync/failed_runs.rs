//! A run that fails or is killed takes nothing away from a restore.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use testbed::{Entry, Tree, tree};

use super::recipe::{BUCKET, Site};
use super::workspace::{assert_same, fill, noise, set_mode, times, write};
use crate::place::eventually;

const CURRENT: &str = "current/team-a/s1";
const UNFINISHED: &str = "unfinished/team-a/s1";
const REPLACED: &str = "replaced/team-a/s1";

/// The runs that have left something in a folder of the bucket, in order.
fn runs_in(site: &Site, folder: &str) -> Vec<String> {
    let keys = site.store.objects(BUCKET).unwrap();
    let below = keys.iter().filter_map(|key| key.strip_prefix(folder)?.strip_prefix('/')?.split_once('/'));
    let mut runs: Vec<_> = below.map(|(run, _)| run.to_owned()).collect();
    runs.dedup();
    runs
}

/// A run on a workspace in which nobody may read a file, which is what fails it.
async fn fails_on(site: &Site, workspace: &Path, unreadable: &str) {
    set_mode(workspace, unreadable, 0);
    let log = site.sync(workspace).await.failed();
    assert!(
        log.contains(&format!("{unreadable}: Failed to copy")) && log.contains("permission denied"),
        "{log}"
    );
    set_mode(workspace, unreadable, 0o644);
}

/// Waits until the next run has another name than those before: they are named by the second in which they begin.
async fn another_second() {
    let second = || jiff::Timestamp::now().as_second();
    let now = second();
    eventually("the clock to go on", || async { Ok((second() > now).then_some(())) }).await;
}

fn without_folders(mut tree: Tree) -> Tree {
    tree.retain(|_, entry| !matches!(entry, Entry::Folder { .. }));
    tree
}

#[tokio::test]
async fn a_changed_file_that_cannot_be_copied_comes_back_as_it_was() {
    let site = Site::set().await;
    let workspace = site.workspace("s1");
    fill(&workspace);
    site.synced(&workspace).await;
    let before = tree(&workspace).unwrap();
    let written_before = times(&workspace, &before);

    write(&workspace, "noise", noise(7_000_002));
    write(&workspace, "key", "another secret");
    write(&workspace, "added", "");
    fs::remove_file(workspace.join("old")).unwrap();
    fails_on(&site, &workspace, "noise").await;
    // As the pod's second try, and the next run.
    fails_on(&site, &workspace, "noise").await;

    // All as of now, but for what could not be copied, and what is not deleted by a run that fails.
    let now = tree(&workspace).unwrap();
    let mut wanted = now.clone();
    for kept in ["noise", "old"].map(Path::new) {
        wanted.insert(kept.to_owned(), before[kept].clone());
    }
    let unchanged = |path: &Path| wanted.get(path) == before.get(path);
    let back = site.workspace("back");
    let log = site.restore(&back, None).await.done();
    assert_same(&wanted, &tree(&back).unwrap());
    let mut written = times(&back, &wanted);
    written.retain(|path, _| unchanged(path));
    let mut written_before = written_before;
    written_before.retain(|path, _| unchanged(path));
    assert_eq!(written, written_before);
    let failed = runs_in(&site, UNFINISHED);
    assert_eq!((failed.len(), runs_in(&site, REPLACED)), (1, vec![]), "{failed:?}");
    assert!(
        log.contains(&format!("The run {} has failed", failed[0])) && log.contains("noise: Copied"),
        "{log}"
    );
    // Nor does this overwrite anything.
    let other = site.workspace("other");
    write(&other, "noise", "another one");
    let log = site.restore(&other, None).await.failed();
    assert!(log.contains("noise: Source and destination exist but do not match"), "{log}");
    assert_eq!(fs::read_to_string(other.join("noise")).unwrap(), "another one");

    site.synced(&workspace).await;
    assert_eq!((runs_in(&site, UNFINISHED), runs_in(&site, REPLACED).contains(&failed[0])), (vec![], true));
    let back = site.workspace("late");
    let log = site.restore(&back, None).await.done();
    assert!(!log.contains("has failed"), "{log}");
    assert_same(&now, &tree(&back).unwrap());
    // What the failed run has replaced is where that of others is.
    let replaced = site.restored("replaced", Some(&format!("{REPLACED}/{}", failed[0]))).await;
    let mut kept = without_folders(before);
    kept.retain(|path, _| [Path::new("noise"), Path::new("key")].contains(&path.as_path()));
    assert_same(&kept, &without_folders(tree(&replaced).unwrap()));
}

#[tokio::test]
async fn of_what_several_failed_runs_took_out_the_newest_comes_back() {
    let site = Site::set().await;
    let workspace = site.workspace("s1");
    write(&workspace, "file", "1");
    write(&workspace, "other", "1");
    site.synced(&workspace).await;
    write(&workspace, "file", "the 2nd");
    fails_on(&site, &workspace, "file").await;
    // This one copies it, and fails all the same.
    write(&workspace, "other", "the 2nd");
    another_second().await;
    fails_on(&site, &workspace, "other").await;
    write(&workspace, "file", "and the 3rd");
    another_second().await;
    fails_on(&site, &workspace, "file").await;

    let back = site.restored("back", None).await;
    let read = |root: &Path, name: &str| fs::read_to_string(root.join(name)).unwrap();
    assert_eq!((read(&back, "file"), read(&back, "other")), ("the 2nd".to_owned(), "the 2nd".to_owned()));

    // And no version is lost.
    let failed = runs_in(&site, UNFINISHED);
    assert_eq!(failed.len(), 3);
    site.synced(&workspace).await;
    assert_eq!(runs_in(&site, UNFINISHED), Vec::<String>::new());
    let replaced = site.store.bucket(BUCKET).join(REPLACED);
    assert_eq!(read(&replaced, &format!("{}/file", failed[0])), "1");
    assert_eq!(read(&replaced, &format!("{}/other", failed[1])), "1");
    assert_eq!(read(&replaced, &format!("{}/file", failed[2])), "the 2nd");
    assert_eq!(read(&site.restored("late", None).await, "file"), "and the 3rd");
}

/// As when its time is over, or its node is lost.
#[tokio::test]
async fn a_run_that_is_killed_takes_nothing_away() {
    let site = Site::set().await;
    let workspace = site.workspace("s1");
    fill(&workspace);
    site.synced(&workspace).await;
    let wanted = tree(&workspace).unwrap();

    write(&workspace, "noise", noise(7_000_002));
    let run = site.sync_slowly(&workspace);
    let copy = site.store.bucket(BUCKET).join(CURRENT).join("noise");
    eventually("the old version to be taken out", || async { Ok((!copy.exists()).then_some(())) }).await;
    run.kill().await;
    assert!(!copy.exists());
    assert_same(&wanted, &tree(&site.restored("back", None).await).unwrap());

    site.synced(&workspace).await;
    assert_same(&tree(&workspace).unwrap(), &tree(&site.restored("late", None).await).unwrap());
}

/// A run that has made the copy as the workspace is, and then finds that the store takes nothing into `replaced`: what has
/// to go before it takes something again is given.
async fn comes_to_no_end(site: &Site, workspace: &Path) -> PathBuf {
    let in_the_way = site.store.bucket(BUCKET).join("replaced");
    fs::write(&in_the_way, "").unwrap();
    let log = site.sync_refused(workspace).await;
    assert!(log.contains("Couldn't move into backup dir"), "{log}");
    in_the_way
}

#[tokio::test]
async fn what_a_run_rightly_took_out_is_not_put_back_if_only_its_end_failed() {
    let site = Site::set().await;
    let workspace = site.workspace("s1");
    fill(&workspace);
    site.synced(&workspace).await;
    let tidy = site.store.objects(BUCKET).unwrap();
    assert!(tidy.iter().all(|key| key.starts_with(CURRENT)), "{tidy:?}");

    fs::remove_file(workspace.join("old")).unwrap();
    fs::remove_file(workspace.join("to-file")).unwrap();
    write(&workspace, "to-file", "a file now");
    let in_the_way = comes_to_no_end(&site, &workspace).await;
    let wanted = tree(&workspace).unwrap();
    assert_same(&wanted, &tree(&site.restored("back", None).await).unwrap());

    // While that is so, no run takes anything out of the copy.
    let copied = site.store.objects(BUCKET).unwrap();
    fs::remove_file(workspace.join("key")).unwrap();
    site.sync_refused(&workspace).await;
    assert_eq!(site.store.objects(BUCKET).unwrap(), copied);
    assert_same(&wanted, &tree(&site.restored("again", None).await).unwrap());

    // The next one comes to that end first. What it takes out itself is put back, for it fails.
    fs::remove_file(in_the_way).unwrap();
    let ended = runs_in(&site, UNFINISHED);
    write(&workspace, "noise", noise(7_000_002));
    another_second().await;
    fails_on(&site, &workspace, "noise").await;
    assert_eq!(runs_in(&site, REPLACED), ended);
    let failed = runs_in(&site, UNFINISHED);
    assert!(failed.len() == 1 && failed != ended, "{failed:?}");
    assert_same(&wanted, &tree(&site.restored("other", None).await).unwrap());

    site.synced(&workspace).await;
    assert_same(&tree(&workspace).unwrap(), &tree(&site.restored("late", None).await).unwrap());
    let untidy = |key: &String| !key.starts_with(CURRENT) && !key.starts_with(REPLACED);
    assert_eq!(site.store.objects(BUCKET).unwrap().into_iter().find(untidy), None);
}

/// As after a run that was killed while it deleted: no mark is there yet.
#[tokio::test]
async fn what_is_put_back_takes_the_place_of_nothing() {
    let site = Site::set().await;
    let workspace = site.workspace("s1");
    fill(&workspace);
    symlink("run.sh", workspace.join("turned")).unwrap();
    site.synced(&workspace).await;
    let link = tree(&workspace).unwrap()[Path::new("turned")].clone();
    fs::remove_file(workspace.join("turned")).unwrap();
    write(&workspace, "turned", "a file now");
    comes_to_no_end(&site, &workspace).await;
    fs::remove_dir_all(site.store.bucket(BUCKET).join("unfinished/team-a/.done")).unwrap();

    let back = site.workspace("back");
    let log = site.restore(&back, None).await.failed();
    assert!(log.lines().any(|line| line == "turned.rclonelink"), "{log}");
    let wanted = tree(&workspace).unwrap();
    assert_ne!(wanted[Path::new("turned")], link);
    assert_same(&wanted, &tree(&back).unwrap());
}
