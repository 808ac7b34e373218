//! The S3 server: what it stores are files, and it dies and comes back.

use std::time::Duration;

use hyper::StatusCode;
use kube::{Client, Config};
use testbed::{Exit, ObjectStore};

use crate::shared_cluster::{shared_cluster, testbed};

/// Its own tests take less than a second, and more on a busy machine.
const LIMIT: Duration = Duration::from_mins(5);

#[tokio::test]
async fn the_store_passes_its_own_tests() {
    let tests = testbed().await.binary("objectstore-test").to_owned();
    let cluster = shared_cluster("store-tests").await;
    let process = cluster.spawn("objectstore-test", tests, &["-test.v"], &[]).await.unwrap();
    let exit = tokio::time::timeout(LIMIT, process.wait()).await.expect("they end").unwrap();
    let output = process.log().unwrap();
    assert_eq!(exit, Exit::Code(0), "{output}");
    assert!(output.contains("--- PASS: TestSignaturesOfTheReference"), "{output}");
}

/// Asks with no signature but one that the path has; any HTTP client does, and
/// this one is there.
pub(crate) async fn ask(store: &ObjectStore, path: &str) -> kube::Result<(StatusCode, Vec<u8>)> {
    let client = Client::try_from(Config::new(store.url().parse().unwrap())).unwrap();
    let answer = client.send(hyper::Request::get(path).body(kube::client::Body::empty()).unwrap()).await?;
    let status = answer.status();
    Ok((status, answer.into_body().collect_bytes().await?.to_vec()))
}

#[tokio::test]
async fn a_store_dies_comes_back_and_leaves_nothing() {
    let store = testbed().await.object_store().await.unwrap();
    let bucket = store.make_bucket("bucket").unwrap();
    std::fs::create_dir_all(bucket.join("a/b")).unwrap();
    std::fs::write(bucket.join("a/b/c"), "content").unwrap();
    let (status, answer) = ask(&store, "/bucket/a/b/c").await.unwrap();
    assert_eq!(status, StatusCode::FORBIDDEN, "{}", String::from_utf8_lossy(&answer));

    let url = store.url().to_owned();
    store.kill().await.unwrap();
    ask(&store, "/bucket/a/b/c").await.expect_err("nobody is there to answer");
    store.restart().await.unwrap();
    assert_eq!(store.url(), url);
    ask(&store, "/bucket/a/b/c").await.unwrap();
    assert_eq!(store.objects("bucket").unwrap(), ["a/b/c"]);

    store.freeze().await.unwrap();
    let asked = tokio::time::timeout(Duration::from_secs(1), ask(&store, "/bucket/a/b/c")).await;
    asked.expect_err("a frozen store does not answer");
    store.thaw().await.unwrap();
    ask(&store, "/bucket/a/b/c").await.unwrap();

    for name in ["bucket", "no", "Bucket", "../bucket", "buck/et"] {
        store.make_bucket(name).expect_err(name);
    }
    store.objects("absent").expect_err("there is no such bucket");
    store.stop().await.unwrap();
    assert!(!bucket.exists());
}
