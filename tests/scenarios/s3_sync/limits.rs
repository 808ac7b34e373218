//! What does not go, and that it is told.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use testbed::tree;

use super::recipe::{BUCKET, Site};
use super::workspace::{assert_same, fill, write};

#[tokio::test]
async fn a_name_that_cannot_be_copied_fails_the_run_and_nothing_is_deleted() {
    let site = Site::set().await;
    let current = site.store.bucket(BUCKET).join("current/team-a/s1");
    let workspace = site.workspace("s1");
    for name in ["not a link.rclonelink", "quoted \u{201b}"] {
        write(&workspace, "deleted", "later");
        site.synced(&workspace).await;
        fs::remove_file(workspace.join("deleted")).unwrap();
        write(&workspace, name, "content");
        write(&workspace, "good", "content");
        let log = site.sync(&workspace).await.failed();
        assert!(
            log.contains(&format!("{}: Failed to copy", name.replace('\u{201b}', "\u{201b}\u{201b}"))),
            "{log}"
        );
        assert!(current.join("good").exists() && current.join("deleted").exists());

        fs::remove_file(workspace.join(name)).unwrap();
        site.synced(&workspace).await;
        assert!(current.join("good").exists() && !current.join("deleted").exists());
    }
}

/// As on a claim that was made anew. What a run moves out of the copy a rule of the bucket deletes some day.
#[tokio::test]
async fn an_emptied_workspace_does_not_empty_the_copy() {
    let site = Site::set().await;
    let workspace = site.workspace("s1");
    fill(&workspace);
    let wanted = tree(&workspace).unwrap();
    site.synced(&workspace).await;
    let objects = site.store.objects(BUCKET).unwrap();

    let emptied = site.workspace("emptied");
    let refused = async || {
        let log = site.sync(&emptied).await.failed();
        assert!(log.contains("emptied holds no file; nothing is copied"), "{log}");
        assert_eq!(site.store.objects(BUCKET).unwrap(), objects);
    };
    refused().await;
    // Folders and what is the file system's are no work.
    write(&emptied, "lost+found/#12345", "for the file system alone");
    fs::create_dir(emptied.join("folder")).unwrap();
    refused().await;
    assert_same(&wanted, &tree(&site.restored("back", None).await).unwrap());

    symlink("nowhere", emptied.join("link")).unwrap();
    site.synced(&emptied).await;
}

/// Somebody works in the sandbox meanwhile.
#[tokio::test]
async fn a_file_that_grows_is_copied_as_long_as_it_was() {
    const LINE: &[u8] = b"one more line in the log of something that never stops talking\n";
    let site = Site::set().await;
    let workspace = site.workspace("s1");
    write(&workspace, "log", LINE);
    let enough = Arc::new(AtomicBool::new(false));
    let mut log = fs::File::options().append(true).open(workspace.join("log")).unwrap();
    let stop = Arc::clone(&enough);
    let writer = std::thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            log.write_all(LINE).unwrap();
            // No faster than the disk.
            log.sync_data().unwrap();
        }
        // At least one comes after the copy, on however busy a machine.
        log.write_all(LINE).unwrap();
    });
    let outcome = site.sync(&workspace).await;
    enough.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    outcome.done();
    let back = site.restored("back", None).await;
    let [grown, copied] = [&workspace, &back].map(|root| fs::read(root.join("log")).unwrap());
    assert!(
        copied.len() < grown.len() && !copied.is_empty() && grown.starts_with(&copied),
        "{}",
        copied.len()
    );
}

#[tokio::test]
async fn a_restore_overwrites_nothing() {
    let site = Site::set().await;
    let workspace = site.workspace("s1");
    fill(&workspace);
    let wanted = tree(&workspace).unwrap();
    site.synced(&workspace).await;

    let back = site.workspace("back");
    write(&back, "run.sh", "another one");
    write(&back, "added", "since");
    let log = site.restore(&back, None).await.failed();
    assert!(log.contains("run.sh: Source and destination exist but do not match"), "{log}");
    assert_eq!(fs::read_to_string(back.join("run.sh")).unwrap(), "another one");
    fs::remove_file(back.join("run.sh")).unwrap();
    // Again, which gets what is missing; and with nothing missing.
    for _ in 0..2 {
        site.restore(&back, None).await.done();
        let mut found = tree(&back).unwrap();
        assert!(found.remove(std::path::Path::new("added")).is_some());
        assert_same(&wanted, &found);
    }
}

/// rclone takes a link `x` for a file `x.rclonelink`, and sees none of them in the way of the other.
#[tokio::test]
async fn a_restore_puts_no_link_in_place_of_a_file_nor_a_file_in_place_of_a_link() {
    const ODD: &str = "odd [a]*{b},?\\ ";
    let site = Site::set().await;
    let workspace = site.workspace("s1");
    fill(&workspace);
    symlink("run.sh", workspace.join(ODD)).unwrap();
    symlink("run.sh", workspace.join("link\nbroken")).unwrap();
    write(&workspace, "folder/deep/file", "");
    let wanted = tree(&workspace).unwrap();
    site.synced(&workspace).await;

    let back = site.workspace("back");
    for file in ["to-file", ODD, "link\nbroken", "elsewhere/file", "elsewhere/deep/file"] {
        write(&back, file, "another one");
    }
    fs::create_dir(back.join("to-nothing")).unwrap();
    for link in ["run.sh", "new\nline", "trailing space "] {
        symlink("elsewhere/file", back.join(link)).unwrap();
    }
    symlink("elsewhere", back.join("folder")).unwrap();
    symlink("another target", back.join("to-itself")).unwrap();
    let in_the_way = tree(&back).unwrap();
    let mut both = wanted.clone();
    both.retain(|path, _| !path.starts_with("folder"));
    both.extend(in_the_way.clone());
    // The Job's second try is as its first.
    for _ in 0..2 {
        let log = site.restore(&back, None).await.failed();
        assert_same(&both, &tree(&back).unwrap());
        let links = ["to-file", ODD, "link\u{240a}broken", "to-nothing", "folder/up"];
        let files = ["run.sh", "new\u{240a}line", "trailing space ", "folder/file", "folder/deep/file"];
        let left_out =
            links.map(|link| format!("{link}.rclonelink")).into_iter().chain(files.map(str::to_owned));
        let (_, told) = log.split_once("These have not come").unwrap();
        let mut told: Vec<_> = told.lines().skip(1).map(str::to_owned).collect();
        told.sort();
        let mut left_out: Vec<_> = left_out.collect();
        left_out.sort();
        assert_eq!(told, left_out, "{log}");
        assert!(log.contains("to-itself.rclonelink: Source and destination exist but do not match"), "{log}");
    }

    fs::remove_dir_all(&back).unwrap();
    let back = site.restored("back", None).await;
    assert_same(&wanted, &tree(&back).unwrap());
}

#[tokio::test]
async fn a_restore_of_nothing_is_a_failure() {
    let site = Site::set().await;
    let back = site.workspace("back");
    let log = site.restore(&back, Some("current/team-a/s2")).await.failed();
    assert!(log.contains("directory not found"), "{log}");
}
