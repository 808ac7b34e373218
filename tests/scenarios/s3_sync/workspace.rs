//! Workspaces with all that makes copies go wrong.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use testbed::{Entry, Tree};

/// Names that programs trip over.
const NAMES: [&str; 20] = [
    "caf\u{e9} composed",
    "cafe\u{301} decomposed",
    "\u{1f980}/\u{4e16}\u{754c} \u{5d0}.txt",
    " leading space",
    "trailing space ",
    "trailing dot.",
    "new\nline",
    "tab\tand control\u{1}",
    "back\\slash",
    "quotes \"'`",
    "$HOME $(date) *",
    "%41",
    "a+b&c?d#e=f",
    "colon:pipe|<>",
    "\u{ff0f}wide slash",
    "-dash",
    "~tilde",
    ".hidden/.git/HEAD",
    "UPPER",
    "upper",
];

/// Writes a file, and the folders that it takes.
pub(super) fn write(root: &Path, path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

pub(super) fn set_mode(root: &Path, path: &str, mode: u32) {
    fs::set_permissions(root.join(path), fs::Permissions::from_mode(mode)).unwrap();
}

/// Bytes that no program compresses or takes for text, always the same.
pub(super) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(step).flatten().take(length).collect()
}

/// Fills a workspace. What it holds is kept, but for what [`unkept`] adds.
pub(super) fn fill(root: &Path) {
    for name in NAMES {
        write(root, name, name);
    }
    write(root, std::ffi::OsStr::from_bytes(b"not UTF-8 \xff\xfe"), "latin");
    write(root, "empty", "");
    write(root, "noise", noise(7_000_001));
    write(root, "run.sh", "#!/bin/sh\n");
    set_mode(root, "run.sh", 0o755);
    write(root, "key", "secret");
    set_mode(root, "key", 0o600);
    write(root, "read-only", "");
    set_mode(root, "read-only", 0o444);
    write(root, "old", "from another time");
    let then = SystemTime::UNIX_EPOCH + std::time::Duration::new(1_000_000_000, 123_456_789);
    fs::File::options().append(true).open(root.join("old")).unwrap().set_modified(then).unwrap();
    fs::create_dir_all(root.join("no files/in here")).unwrap();
    write(root, "folder/file", "");
    for (link, target) in [
        ("to-file", "run.sh"),
        ("to-folder", "folder"),
        ("to-nothing", "not/there"),
        ("to-elsewhere", "/etc/hostname"),
        ("folder/up", "../run.sh"),
        ("to-itself", "to-itself"),
    ] {
        symlink(target, root.join(link)).unwrap();
    }
}

/// Adds what is not kept; README.md lists it.
pub(super) fn unkept(root: &Path) {
    drop(UnixListener::bind(root.join("socket")).unwrap());
    write(root, "lost+found/#12345", "for the file system alone");
    write(root, "private/file", "");
    set_mode(root, "private", 0o700);
    fs::hard_link(root.join("run.sh"), root.join("same as run.sh")).unwrap();
}

/// What a workspace with the additions of [`unkept`] looks like when it comes back.
pub(super) fn without_unkept(root: &Path) -> Tree {
    let socket = root.join("socket");
    fs::remove_file(&socket).unwrap();
    let mut tree = testbed::tree(root).unwrap();
    drop(UnixListener::bind(socket).unwrap());
    tree.retain(|path, _| !path.starts_with("lost+found"));
    // As any new folder.
    let plain = tree[Path::new("folder")].clone();
    let private = tree.insert("private".into(), plain.clone());
    assert!(private == Some(Entry::Folder { mode: 0o700 }) && private != Some(plain));
    tree
}

/// When each file and link was written, by path.
pub(super) fn times(root: &Path, tree: &Tree) -> BTreeMap<PathBuf, SystemTime> {
    let leaves = tree.iter().filter(|(_, entry)| !matches!(entry, Entry::Folder { .. }));
    let time = |path: &Path| fs::symlink_metadata(root.join(path)).unwrap().modified().unwrap();
    leaves.map(|(path, _)| (path.clone(), time(path))).collect()
}

/// How many names a file has.
pub(super) fn names_of(root: &Path, path: &str) -> u64 {
    fs::metadata(root.join(path)).unwrap().nlink()
}

/// Two trees are the same, byte for byte.
#[track_caller]
pub(super) fn assert_same(wanted: &Tree, found: &Tree) {
    let difference = testbed::difference(wanted, found);
    assert!(difference.is_empty(), "{difference:#?}");
}
