//! The controller is killed at random writes, and started again until all is done.

use proptest::prelude::RngExt as _;
use testbed::{Exit, Point, Then};

use super::audit::Tally;
use super::field::{FAST, Field, VOLUMES};
use super::random::{asked_for, random, seed};
use crate::place::PATIENCE;

/// Rounds that `cargo test` makes.
const ROUNDS: u64 = 2;
/// The latest write of a life at which it ends.
const LATEST: u64 = 24;

#[tokio::test]
async fn kills_at_random_writes_break_no_promise() {
    let rounds = asked_for("ROUNDS").unwrap_or(ROUNDS);
    let first = seed();
    let field = Field::lay("kills").await;
    let mut kills = 0;
    for round in 0..rounds {
        let seed = first + round;
        let begun = tokio::time::Instant::now();
        println!("round {} of {rounds}: SEED={seed} ROUNDS=1 repeats it", round + 1);
        let (killed_at, tally) = play(&field, seed).await;
        kills += killed_at.len();
        println!("  {:.0?}, {tally:?}, killed at: {}", begun.elapsed(), killed_at.join("; "));
        assert_eq!(tally.taken, VOLUMES, "one each");
        assert_eq!(tally.pruned, 2 * VOLUMES, "the old ones");
    }
    println!("{rounds} rounds, {kills} kills: no promise broken");
}

/// One round; tells the writes at which it was killed, and what was done.
async fn play(field: &Field, seed: u64) -> (Vec<String>, Tally) {
    let mut random = random(seed);
    let start = field.prepare().await;
    let (proxy, kubeconfig) = field.proxy().await;
    let mut killed_at = Vec::new();
    for _ in 0..random.random_range(6..=10) {
        let nth = random.random_range(1..=LATEST);
        let point = if random.random() { Point::before(nth) } else { Point::after(nth) };
        // What has reached the API server, or its answer the controller, is a matter of chance too.
        let then = if random.random() { Then::Pass } else { Then::Cut };
        let stage = field.stage.clone();
        let mut cut = proxy.call(point, async move |_| {
            stage.cluster.kill("controller").await.unwrap();
            then
        });
        let controller = field.stage.launch_controller("controller", &kubeconfig, FAST).await.unwrap();
        let reached = async { cut.reached().await.unwrap() };
        tokio::select! {
            // The last write ends the work too.
            biased;
            write = tokio::time::timeout(PATIENCE, reached) => {
                let write = write.expect("a controller with work to do writes");
                assert_eq!(controller.wait().await.unwrap(), Exit::Signal("SIGKILL".into()));
                killed_at.push(format!("{nth} {}", brief(&write.to_string())));
            }
            // There was less left to do than that.
            () = field.done() => {
                controller.kill().await.unwrap();
                break;
            }
        }
    }
    // Through no proxy: where nothing is left to cut.
    let kubeconfig = field.stage.controllers_kubeconfig().await.unwrap();
    let controller = field.stage.launch_controller("controller", &kubeconfig, FAST).await.unwrap();
    field.done().await;
    controller.kill().await.unwrap();
    let tally = field.audit(&start).await.unwrap_or_else(|error| panic!("SEED={seed} ROUNDS=1: {error:#}"));
    (killed_at, tally)
}

/// The end of a write's path, without its query.
fn brief(write: &str) -> String {
    let (method, path) = write.split_once(' ').unwrap_or(("", write));
    let path = path.split('?').next().unwrap_or(path);
    format!("{method} {}", path.rsplit('/').next().unwrap_or(path))
}
