//! Restores and an API server that does not answer.

use std::time::{Duration, Instant};

use double::Options;
use testbed::{Exit, Point, Then};

use super::interruptions::{creates, is_real, through_a_proxy};
use super::{runs_on, until_it_says, with_a_point};
use crate::place::{PATIENCE, TEAM, stage_with};

const API_SERVER: &str = "kube-apiserver";
/// What a process may take beyond the limit that it was told, on a busy machine.
const ON_TOP: Duration = Duration::from_mins(2);
/// Enough for all that comes before the sandbox, its volume included.
const LIMIT: Duration = Duration::from_secs(150);

/// After how many seconds a restore says that it has come to its limit, while it waited for that.
fn gave_up_after(text: &str, doing: &str) -> Option<u64> {
    let (before, _) = text.split_once(&format!(" s, while waiting to {doing}"))?;
    before.rsplit_once("not finished after ")?.1.parse().ok()
}

/// However long the API server is silent, a restore ends when it was told to, and goes on later; one that was told
/// nothing waits for it, as long as there is somebody to wait for.
#[tokio::test]
async fn a_silent_api_server_does_not_hold_a_restore_up_beyond_its_limit() {
    let stage = stage_with("frozen-restores", Options::default()).await;
    let before = with_a_point(&stage).await;
    let (proxy, kubeconfig) = through_a_proxy(&stage).await;

    let args = ["restore", "s1", "-n", TEAM, "--as", "late", "--timeout", "150"];
    let mut cut = proxy.hold(Point::before(1).of(creates("sandboxes")));
    let process = stage.begin(&args, &kubeconfig).await.unwrap();
    tokio::time::timeout(PATIENCE, cut.reached()).await.expect("it gets that far in time").unwrap();
    stage.cluster.freeze(API_SERVER).await.unwrap();
    cut.release();
    let exit = tokio::time::timeout(LIMIT + ON_TOP, process.wait()).await;
    let text = process.log().unwrap();
    assert_eq!(exit.expect("it ends in time").unwrap(), Exit::Code(1), "{text}");
    assert!(gave_up_after(&text, "create the sandbox") >= Some(LIMIT.as_secs()), "{text}");
    assert!(text.contains(&format!("restore s1 -n {TEAM} --as late")), "{text}");

    // From the very first call on.
    let begun = Instant::now();
    let at_once = ["restore", "s1", "-n", TEAM, "--as", "late", "--timeout", "2"];
    let limit = Duration::from_secs(2) + ON_TOP;
    let output = tokio::time::timeout(limit, stage.run(&at_once)).await.unwrap().unwrap();
    assert_eq!(output.exit, Exit::Code(1));
    assert!(gave_up_after(&output.text, "see what there is") >= Some(2), "{}", output.text);
    assert!(begun.elapsed() >= Duration::from_secs(2));

    let args = ["restore", "s1", "-n", TEAM, "--as", "late"];
    // Through the proxy, so that there is a connection, and no answer.
    let process = stage.begin(&args, &kubeconfig).await.unwrap();
    until_it_says(&process, "it took too long; trying again").await;
    stage.cluster.thaw(API_SERVER).await.unwrap();
    let exit = tokio::time::timeout(PATIENCE, process.wait()).await.unwrap().unwrap();
    assert_eq!(exit, Exit::Code(0), "{}", process.log().unwrap());
    runs_on(&stage, "late", &before).await;

    stage.cluster.process(API_SERVER).unwrap().kill().await.unwrap();
    let nobody_there = stage.run(&args).await.unwrap();
    assert_eq!(nobody_there.exit, Exit::Code(1));
    let text = &nobody_there.text;
    assert!(text.starts_with("error: cannot read ") && text.contains("no answer"), "{text}");
}

/// An API server that goes away and comes back, and connections that break, cost a restore some time.
#[tokio::test]
async fn trouble_that_passes_is_waited_out() {
    let stage = stage_with("troubled-restores", Options::default()).await;
    let before = with_a_point(&stage).await;
    let (proxy, kubeconfig) = through_a_proxy(&stage).await;

    // Every write is cut off once before, and once after it was carried out.
    let cuts: Vec<_> = (1..=4_u64)
        .flat_map(|nth| [Point::before(2 * nth), Point::after(2 * nth + 1)])
        .map(|point| proxy.drop_connection(point.of(is_real)))
        .collect();
    let args = ["restore", "s1", "-n", TEAM, "--as", "cut", "--timeout", "240"];
    let process = stage.begin(&args, &kubeconfig).await.unwrap();
    let exit = tokio::time::timeout(PATIENCE, process.wait()).await.unwrap().unwrap();
    let text = process.log().unwrap();
    assert_eq!(exit, Exit::Code(0), "{text}");
    assert!(text.contains("no answer from the API server: ") && text.contains("; trying again"), "{text}");
    drop(cuts);
    runs_on(&stage, "cut", &before).await;

    let (sender, receiver) = tokio::sync::oneshot::channel();
    let _down = proxy.call(Point::after(1).of(creates("persistentvolumeclaims")), |_| async move {
        let api_server: testbed::Process = receiver.await.unwrap();
        api_server.kill().await.unwrap();
        Then::Pass
    });
    sender.send(stage.cluster.process(API_SERVER).unwrap()).ok().unwrap();
    let args = ["restore", "s1", "-n", TEAM, "--as", "down", "--timeout", "240"];
    let process = stage.begin(&args, &kubeconfig).await.unwrap();
    until_it_says(&process, "; trying again").await;
    assert_eq!(process.exit(), None, "{}", process.log().unwrap());
    stage.cluster.restart(API_SERVER).await.unwrap();
    let exit = tokio::time::timeout(PATIENCE, process.wait()).await.unwrap().unwrap();
    assert_eq!(exit, Exit::Code(0), "{}", process.log().unwrap());
    runs_on(&stage, "down", &before).await;
}
