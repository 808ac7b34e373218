//! The metrics of a running controller, held against the cluster.

use jiff::Timestamp;
use kube::ResourceExt;
use testbed::STORAGE_CLASS;

use crate::place::{ONCE, TEAM, eventually, stage, workspace};
use crate::protection::quota;

/// The value of a series.
fn value(metrics: &str, series: &str) -> Option<f64> {
    let found = metrics.lines().find_map(|line| line.strip_prefix("agenttier_backup_")?.strip_prefix(series));
    found.map(|value| value.trim().parse().unwrap())
}

#[tokio::test]
async fn the_metrics_say_what_is_in_the_cluster() {
    let stage = stage("metrics").await;
    for name in ["a", "b", "c"] {
        workspace(&stage, name, STORAGE_CLASS).await;
    }
    stage.policy(ONCE).await.unwrap();
    let controller = stage.start_controller(&["--snapshots-per-minute-at-least", "600"]).await.unwrap();
    let protected = r#"volumes{policy="stage",protection="Protected",reason=""}"#;
    // At the start, what is seen may be in doubt.
    let in_doubt = r#"deletions_suspended{reason="CacheStale"}"#;
    let (asked, metrics) = eventually("three volumes are protected, and all is seen", || async {
        let asked = Timestamp::now();
        let metrics = stage.metrics(&controller).await?;
        let there = value(&metrics, protected) == Some(3.0) && value(&metrics, in_doubt) == Some(0.0);
        Ok(there.then_some((asked, metrics)))
    })
    .await;
    let answered = Timestamp::now();
    let points = stage.points(TEAM).await.unwrap().ours();
    assert_eq!((points.count(), points.ready().count()), (3, 3));
    for (series, expected) in [
        (r#"recovery_points{policy="stage",readiness="Ready"}"#, 3.0),
        ("snapshots_created_total", 3.0),
        ("snapshots_pruned_total", 0.0),
        (r#"orders_wanted{action="TakeSnapshot"}"#, 0.0),
        (r#"deletions_suspended{reason="ClockSkew"}"#, 0.0),
        ("snapshots_per_minute_allowed", 600.0),
        ("leader", 1.0),
    ] {
        assert_eq!(value(&metrics, series), Some(expected), "{series} in\n{metrics}");
    }
    let skew = value(&metrics, "clock_skew_seconds").unwrap();
    assert!(skew.abs() < 4.0, "both clocks are this machine's: {skew}");
    let seconds = |at: Timestamp| at.as_duration().as_secs_f64();
    let age = value(&metrics, r#"oldest_newest_recovery_point_age_seconds{policy="stage"}"#).unwrap();
    // A point is of some moment between the order for it and its being cut.
    let ordered = points.0.iter().filter_map(ResourceExt::creation_timestamp).map(|at| at.0).min().unwrap();
    let least = seconds(asked) - seconds(points.newest().unwrap());
    let most = seconds(answered) - seconds(ordered);
    assert!((least - 5.0..most + 5.0).contains(&age), "{age}, not from {least} to {most}");
    assert!(seconds(answered) - value(&metrics, "last_pass_timestamp_seconds").unwrap() < 600.0);
    assert!(value(&metrics, "pass_duration_seconds_count").unwrap() >= 1.0);

    // A fourth one finds a quota that lets none through.
    quota(&stage, "0").await;
    workspace(&stage, "d", STORAGE_CLASS).await;
    let awaited = r#"volumes{policy="stage",protection="Awaited",reason="QuotaExceeded"}"#;
    let metrics = eventually("the failure is counted, and in the next pass's figures", || async {
        let metrics = stage.metrics(&controller).await?;
        let failed = r#"orders_failed_total{action="TakeSnapshot",reason="QuotaExceeded"}"#;
        let counted = value(&metrics, failed).is_some_and(|failed| failed >= 1.0);
        Ok((counted && value(&metrics, awaited) == Some(1.0)).then_some(metrics))
    })
    .await;
    assert_eq!(
        (value(&metrics, protected), value(&metrics, "snapshots_created_total")),
        (Some(3.0), Some(3.0))
    );
}
