//! Pinned recovery points stay, until they are unpinned.

use double::{NewSandbox, Phase};
use serde_json::json;
use stage::Rhythm;
use testbed::Exit;

use crate::place::{TEAM, TEMPLATE, eventually, stage, user};
use crate::restores::rights::{account, documented, grant, run};

#[tokio::test]
async fn a_namespaces_admin_pins_and_unpins_with_the_documented_rights() {
    let stage = stage("pins").await;
    let user = user(&stage);
    user.create(NewSandbox::named("s1").cluster_template(TEMPLATE)).await.unwrap();
    user.wait_phase("s1", Phase::Running).await.unwrap();
    let agenttiers = user.back_up("s1").await.unwrap();
    stage.policy(Rhythm { interval: "10s", max_age: "10s", keep_last: 1 }).await.unwrap();
    let controller = stage.start_controller(&["--snapshots-per-minute-at-least", "60"]).await.unwrap();
    let ours = || async { anyhow::Ok(stage.points(TEAM).await?.ours().ready().names()) };
    eventually("a recovery point", || async { Ok((!ours().await?.is_empty()).then_some(())) }).await;

    grant(&stage, &documented("pin")).await;
    let kubeconfig = account(&stage).await;
    let by = |args: &'static [&str]| {
        let (stage, kubeconfig) = (&stage, &kubeconfig);
        async move { run(stage, kubeconfig, &[args, &["-n", TEAM, "-o", "json"]].concat()).await }
    };
    let pin = eventually("the rights are in force", || async {
        let output = by(&["pin", "--sandbox", "s1", "--reason", "before the upgrade"]).await;
        // The one that it chose may have been pruned meanwhile.
        Ok((output.exit == Exit::Code(0)).then_some(output))
    })
    .await
    .json()
    .unwrap();
    let name = pin["snapshot"].as_str().unwrap();
    assert_eq!(
        (&pin["pinned"], &pin["reason"], &pin["changed"], &pin["sandbox"]),
        (&json!(true), &json!("before the upgrade"), &json!(true), &json!("s1")),
    );
    let pruned = || controller.log().unwrap().matches("snapshot pruned").count();
    let then = pruned();
    eventually("three others are pruned", || async { Ok((pruned() >= then + 3).then_some(())) }).await;
    assert!(ours().await.unwrap().contains(name), "it is still there");

    let list = eventually("nothing else keeps it any more", || async {
        let list = stage.run(&["list", "s1", "-n", TEAM]).await?.good()?;
        let row = list.lines().find(|line| line.contains(name)).unwrap();
        assert!(row.contains("Ready, pinned"), "{list}");
        Ok(row.ends_with("keep: pinned").then_some(list))
    })
    .await;
    assert!(list.contains(&format!("{name} is pinned: before the upgrade")), "{list}");

    // Unpinning needs less.
    grant(&stage, &documented("unpin")).await;
    let again = run(&stage, &kubeconfig, &["pin", name, "-n", TEAM]).await.good().unwrap();
    assert!(again.contains("is pinned already (before the upgrade)"), "{again}");
    let unpinned = run(&stage, &kubeconfig, &["unpin", name, "-n", TEAM]).await.good().unwrap();
    assert!(unpinned.contains("is not pinned any more"), "{unpinned}");
    eventually("it is pruned like any other", || async {
        Ok((!stage.points(TEAM).await?.names().contains(name)).then_some(()))
    })
    .await;

    for (args, why) in [
        (["pin", name], "there is no VolumeSnapshot"),
        (["unpin", name], "there is no VolumeSnapshot"),
        (["pin", agenttiers.as_str()], "AgentTier made it"),
    ] {
        let output = stage.run(&[&args[..], &["-n", TEAM]].concat()).await.unwrap();
        assert_eq!(output.exit, Exit::Code(1), "{}", output.text);
        assert!(output.text.contains(why), "{args:?}: {}", output.text);
    }
    let was_not = stage.run(&["unpin", &agenttiers, "-n", TEAM]).await.unwrap().good().unwrap();
    assert!(was_not.contains("was not pinned"), "{was_not}");
    let output = stage.run(&["pin", "--sandbox", "s9", "-n", TEAM]).await.unwrap();
    assert!(
        output.exit == Exit::Code(1) && output.text.contains("no ready recovery point of sandbox \"s9\"")
    );
    let output = stage.run(&["pin", "-n", TEAM]).await.unwrap();
    assert!(output.exit == Exit::Code(2) && output.text.contains("--sandbox"), "{}", output.text);
}
