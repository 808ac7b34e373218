//! What all volumes come to in the long run, for people.

use agenttier_backup_plan::Capacity;

/// A sentence or two.
pub(super) fn told(capacity: &Capacity, max_snapshots: Option<u32>) -> String {
    let Capacity { volumes, points, steady_points, .. } = capacity;
    let volumes = if *volumes == 1 { "1 volume comes".to_owned() } else { format!("{volumes} volumes come") };
    let held =
        format!("Now {points} snapshots are held. In the long run {volumes} to {steady_points} at the most");
    match max_snapshots {
        Some(max) if *steady_points > u64::from(max) => format!(
            "{held}, which is more than maxSnapshots of {max}: near that, those older than 48 h are thinned out, and \
             intervals grow. Keep fewer, thin them out sooner, or raise it (the CSI snapshot controller slows down \
             past 15000)."
        ),
        Some(max) => format!("{held}, of {max} that maxSnapshots allows."),
        None => format!("{held}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_said_with_what_to_do() {
        let capacity = Capacity { volumes: 300, points: 12, steady_points: 16_800, per_minute: 1.0 };
        assert_eq!(
            told(&capacity, Some(20_000)),
            "Now 12 snapshots are held. In the long run 300 volumes come to 16800 at the most, of 20000 that maxSnapshots \
             allows."
        );
        let told = told(&capacity, Some(15_000));
        assert!(told.contains("more than maxSnapshots of 15000") && told.contains("Keep fewer"), "{told}");
    }
}
