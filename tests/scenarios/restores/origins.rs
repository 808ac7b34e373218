//! Whose data a restore brings back, and under whose spec.

use agenttier_backup_plan::marks;
use double::{NewSandbox, Options, Phase};
use kube::ResourceExt;
use stage::Stage;
use testbed::Exit;

use super::interruptions::{creates, killed_at, through_a_proxy};
use super::{at_work, claim_of, nothing_of, point_of, protect, runs_on};
use crate::place::{TEAM, TEMPLATE, eventually, stage_with, user, with_pool};

/// The arguments of a command line that an error proposes.
fn proposed<'a>(text: &'a str, with: &str) -> Vec<&'a str> {
    let line = text.lines().find(|line| line.trim().starts_with("agenttier-backup ") && line.contains(with));
    let line = line.unwrap_or_else(|| panic!("no command line with {with:?} is proposed: {text}"));
    let line = line.split('#').next().unwrap();
    // The stage gives the kubeconfig itself.
    line.split_whitespace().skip_while(|word| *word != "restore").collect()
}

async fn refused(stage: &Stage, args: &[&str]) -> String {
    let output = stage.run(args).await.unwrap();
    assert_eq!(output.exit, Exit::Code(1), "{}", output.text);
    output.text
}

/// AgentTier resumed it on an empty volume of its pool, and that volume has the newest recovery point.
#[tokio::test]
async fn a_switched_workspace_is_asked_about() {
    let mut stage = stage_with("switched-workspaces", Options::default()).await;
    user(&stage).create(NewSandbox::named("s2").cluster_template(TEMPLATE)).await.unwrap();
    let before = at_work(&stage, "s2").await;
    protect(&stage).await;
    let work = point_of(&stage, "s2").await;

    stage.restart_agenttier(with_pool(1)).await;
    let user = user(&stage);
    user.stop("s2").await.unwrap();
    user.wait_phase("s2", Phase::Stopped).await.unwrap();
    eventually("a ready pod of the pool is claimed on resume", || async {
        user.resume("s2").await?;
        user.wait_phase("s2", Phase::Running).await?;
        if claim_of(&stage, "s2").await.starts_with("pool-") {
            return Ok(Some(()));
        }
        user.stop("s2").await?;
        user.wait_phase("s2", Phase::Stopped).await?;
        Ok(None)
    })
    .await;
    let claim = claim_of(&stage, "s2").await;

    // What was left behind is saved once more.
    let saved = eventually("a point of what was left behind", || async {
        let left = stage.points(TEAM).await?.ours().of("s2-workspace").ready();
        let after = left.0.iter().find(|point| point.annotations().contains_key(marks::AFTER_SWITCH));
        Ok(after.map(ResourceExt::name_any))
    })
    .await;
    assert_ne!(saved, work);

    let ask = ["restore", "s2", "-n", TEAM, "--as", "s2-lost"];
    let empty = point_of(&stage, "s2").await;
    let text = refused(&stage, &ask).await;
    assert!(text.contains("are of 2 volumes"), "{text}");
    assert!(proposed(&text, &format!("volume {claim}, in use now")).ends_with(&["--from", &empty]), "{text}");
    nothing_of(&stage, "s2-lost").await;

    let answer = proposed(&text, "volume s2-workspace");
    assert!(answer.ends_with(&["--from", &saved]), "{text}");
    stage.run(&answer).await.unwrap().good().unwrap();
    runs_on(&stage, "s2-lost", &before).await;
}

#[tokio::test]
async fn one_sandboxs_spec_and_anothers_files_are_mixed_only_when_told_to() {
    let stage = stage_with("mixed-restores", Options::default()).await;
    let user = user(&stage);
    for name in ["s1", "s2"] {
        user.create(NewSandbox::named(name).cluster_template(TEMPLATE)).await.unwrap();
    }
    let (first, second) = (at_work(&stage, "s1").await, at_work(&stage, "s2").await);
    protect(&stage).await;
    let (of_s1, _) = (point_of(&stage, "s1").await, point_of(&stage, "s2").await);

    let ask = ["restore", "s2", "-n", TEAM, "--from", &of_s1, "--as", "x"];
    let text = refused(&stage, &ask).await;
    assert!(text.contains("is of sandbox \"s1\", not of \"s2\""), "{text}");
    nothing_of(&stage, "x").await;
    stage.run(&proposed(&text, "--from-other")).await.unwrap().good().unwrap();
    runs_on(&stage, "x", &first).await;

    // What one restore has begun, another does not finish.
    let through = through_a_proxy(&stage).await;
    let begun = ["restore", "s1", "-n", TEAM, "--as", "mix"];
    let point = testbed::Point::after(1).of(creates("persistentvolumeclaims"));
    assert!(killed_at(&stage, &through, &begun, point).await);
    let text = refused(&stage, &["restore", "s2", "-n", TEAM, "--as", "mix"]).await;
    assert!(text.contains("a restore into \"mix\" has begun already"), "{text}");
    assert!(user.sandboxes().get_opt("mix").await.unwrap().is_none(), "left alone");
    stage.run(&proposed(&text, "restore s1")).await.unwrap().good().unwrap();
    runs_on(&stage, "mix", &first).await;

    // Nor does one that is done.
    let text = refused(&stage, &["restore", "s2", "-n", TEAM, "--as", "mix"]).await;
    assert!(text.contains("has begun already"), "{text}");
    stage.run(&["restore", "s2", "-n", TEAM, "--as", "own"]).await.unwrap().good().unwrap();
    runs_on(&stage, "own", &second).await;

    // AgentTier's own backup of the sandbox is as good as ours.
    let agenttiers = user.back_up("s1").await.unwrap();
    eventually("AgentTier's backup is ready", || async {
        Ok(stage.points(TEAM).await?.ready().names().contains(&agenttiers).then_some(()))
    })
    .await;
    let args = ["restore", "s1", "-n", TEAM, "--from", &agenttiers, "--as", "theirs"];
    stage.run(&args).await.unwrap().good().unwrap();
    runs_on(&stage, "theirs", &first).await;
}
