//! The work that is lost and found: files as an agent would leave them.

use std::os::unix::fs::symlink;

use anyhow::{Context as _, Result};
use testbed::{Tree, Volume};

/// Writes a small project into a workspace; `owner` makes two of them differ.
///
/// # Errors
/// When a file cannot be written.
pub(super) fn write(volume: &Volume, owner: &str) -> Result<Tree> {
    volume.write("README.md", format!("# {owner}'s experiment\n"))?;
    volume.write("src/main.py", "print('three days of work')\n")?;
    volume.write("notes/zweite Idee – ünïcode.md", "Worth keeping.\n")?;
    volume.write("data/empty.csv", "")?;
    // Bytes without a pattern that a copy could get right by chance.
    let mut state = owner.bytes().fold(0x9e37_79b9_u32, |state, byte| state.rotate_left(5) ^ u32::from(byte));
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    volume.write("data/model.bin", std::iter::repeat_with(&mut noise).take(1 << 20).collect::<Vec<u8>>())?;
    symlink("data/model.bin", volume.path().join("latest")).context("link latest")?;
    volume.tree()
}
