//! The work that is lost and found: files as an agent would leave them.

use anyhow::Result;
use testbed::{Entry, Tree};

use super::workspace::Workspace;

/// Writes a small project into a workspace; `owner` makes two of them differ.
///
/// # Errors
/// When a file cannot be written.
pub(super) async fn write(workspace: &Workspace, owner: &str) -> Result<Tree> {
    workspace.write("README.md", format!("# {owner}'s experiment\n").as_bytes()).await?;
    workspace.write("src/main.py", b"print('three days of work')\n").await?;
    workspace.write("notes/zweite Idee – ünïcode.md", b"Worth keeping.\n").await?;
    workspace.write("data/empty.csv", b"").await?;
    // Bytes without a pattern that a copy could get right by chance.
    let mut state = owner.bytes().fold(0x9e37_79b9_u32, |state, byte| state.rotate_left(5) ^ u32::from(byte));
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    let model: Vec<u8> = std::iter::repeat_with(&mut noise).take(1 << 20).collect();
    workspace.write("data/model.bin", &model).await?;
    workspace.link("latest", "data/model.bin").await?;
    workspace.tree().await
}

/// Files and links, and the bytes in them.
pub(super) fn size(tree: &Tree) -> (usize, u64) {
    let files = tree.values().filter(|entry| !matches!(entry, Entry::Folder { .. })).count();
    let bytes = tree.values().map(|entry| if let Entry::File { size, .. } = entry { *size } else { 0 }).sum();
    (files, bytes)
}
