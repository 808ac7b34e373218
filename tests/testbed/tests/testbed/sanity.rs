//! csi-test's sanity suite against our CSI driver.

use std::time::Duration;

use testbed::Exit;

use crate::shared_cluster::{shared_cluster, testbed};

/// The suite takes seconds.
const LIMIT: Duration = Duration::from_mins(5);

#[tokio::test]
async fn the_driver_passes_the_csi_sanity_suite() {
    let suite = testbed().await.binary("dircsi-sanity").to_owned();
    // Under the cluster's supervisor, which takes it down with us.
    let cluster = shared_cluster("sanity").await;
    let args = ["-test.run=^TestSanity$", "-test.v"];
    let process = cluster.spawn("sanity", suite, &args, &[]).await.unwrap();
    let exit = tokio::time::timeout(LIMIT, process.wait()).await.expect("the suite ends").unwrap();
    let output = process.log().unwrap();
    assert_eq!(exit, Exit::Code(0), "{output}");

    for line in output.lines().filter(|line| line.starts_with("skipped: ")) {
        println!("{line}");
    }
    let ran = output.lines().find(|line| line.starts_with("Ran ")).expect("the suite counts its specs");
    println!("{ran}");
    let result = output.lines().find(|line| line.contains(" Passed | ")).expect("the suite tells its result");
    println!("{result}");
    assert!(count(result, "Passed") > 0, "{result}");
    assert_eq!(count(result, "Failed"), 0, "{result}");
    // csi-test has switched one off itself: pagination while volumes come and go.
    assert!(count(result, "Pending") <= 1, "{result}");
    let skips = output.lines().filter(|line| line.starts_with("skipped: ")).count() as u64;
    assert_eq!(count(result, "Skipped"), skips, "each skip is told with its reason");
}

/// The number before a word, as in `74 Passed | 0 Failed`.
fn count(result: &str, word: &str) -> u64 {
    let words = result.split_whitespace().collect::<Vec<_>>();
    let at = words.iter().position(|found| *found == word).expect(word);
    words[at - 1].parse().expect("a count comes before its word")
}
