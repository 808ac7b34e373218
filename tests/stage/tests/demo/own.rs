//! The story on a cluster of its own.

use testbed::progress::Console;
use testbed::{Exit, Testbed};

use crate::program::{Demo, after, cell};

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
    assert_eq!(cell(&said, "warm-pool volumes that it was given"), "0");
    let seconds = |row: &str| -> f64 { cell(&said, row).split(' ').next().unwrap().parse().unwrap() };
    let exposed = seconds("newest recovery point when the node died (RPO)");
    assert!((0.0..30.0).contains(&exposed), "one every 10 s, on a busy machine: {said}");
    let took = seconds("time to restore (RTO)");
    assert!(took > 0.0 && took < 60.0, "{said}");

    let taken = said.lines().filter(|line| line.starts_with("   + ")).count();
    let pruned = said.lines().filter(|line| line.starts_with("   - ")).count();
    assert!(said.contains(&format!("✔ {taken} taken, {pruned} pruned past 25s")), "{said}");
    assert!(pruned >= 2, "{said}");

    place.stop().await.unwrap();
}
