//! What a sandbox held at a certain moment.

use double::{NewSandbox, Options};
use jiff::{SignedDuration, Timestamp};
use stage::Rhythm;
use testbed::Exit;

use super::{at_work, runs_on};
use crate::place::{TEAM, TEMPLATE, eventually, stage_with, user};

#[tokio::test]
async fn as_of_a_moment_what_it_held_then_comes_back() {
    let stage = stage_with("moments", Options::default()).await;
    user(&stage).create(NewSandbox::named("s1").cluster_template(TEMPLATE)).await.unwrap();
    let before = at_work(&stage, "s1").await;
    stage.policy(Rhythm { interval: "10s", max_age: "1d", keep_last: 100 }).await.unwrap();
    stage.start_controller(&["--snapshots-per-minute-at-least", "60"]).await.unwrap();
    let cut = || async {
        let list = stage.run(&["list", "s1", "-n", TEAM, "-o", "json"]).await?.json()?;
        let ready = list.as_array().into_iter().flatten().filter(|row| row["readiness"] == "Ready");
        let cut = ready.map(|row| row["takenAt"].as_str().unwrap_or_default().parse::<Timestamp>());
        let mut cut = cut.collect::<Result<Vec<_>, _>>()?;
        cut.sort_unstable();
        anyhow::Ok(cut)
    };
    let first = eventually("a recovery point", || async { Ok(cut().await?.first().copied()) }).await;
    stage.cluster.volume(TEAM, "s1-workspace").await.unwrap().write("later.txt", "a later thought").unwrap();
    let count = cut().await.unwrap().len();
    eventually("a younger one", || async { Ok((cut().await?.len() > count).then_some(())) }).await;

    // To the very moment.
    let as_of = first.to_string();
    let args = ["restore", "s1", "-n", TEAM, "--as", "then", "--as-of", &as_of, "-o", "json"];
    let restored = stage.run(&args).await.unwrap().json().unwrap();
    assert_eq!(restored["takenAt"], as_of.as_str());
    runs_on(&stage, "then", &before).await;
    // Run again it finds its work done, though `1s` ago is another moment now.
    let args = ["restore", "s1", "-n", TEAM, "--as", "then", "--as-of", "1s", "-o", "json"];
    assert_eq!(stage.run(&args).await.unwrap().json().unwrap()["takenAt"], as_of.as_str());

    let earlier = (first - SignedDuration::from_nanos(1)).to_string();
    let output = stage.run(&["restore", "s1", "-n", TEAM, "--as", "x", "--as-of", &earlier]).await.unwrap();
    assert_eq!(output.exit, Exit::Code(1), "{}", output.text);
    assert!(output.text.contains(&format!("no recovery point of {earlier} or before")), "{}", output.text);
    assert!(output.text.contains(&format!("old, of {as_of}")), "{}", output.text);
    super::nothing_of(&stage, "x").await;
    let output = stage.run(&["restore", "s1", "-n", TEAM, "--as-of", "2999-01-01"]).await.unwrap();
    assert!(output.exit == Exit::Code(1) && output.text.contains("is still to come"), "{}", output.text);
}
