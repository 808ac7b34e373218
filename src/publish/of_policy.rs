//! What is to be said of a policy as such, whatever its volumes are like.

use agenttier_backup_plan::{MassDeletion, Notice, Pressure, Reason, marks};

use crate::observe::{SnapshotLimit, Ties};

/// What somebody should know of a policy: that another one ties with it, and that the cluster's limit of snapshots is
/// near.
#[must_use]
pub fn notices_of(policy: &str, ties: &Ties, limit: Option<SnapshotLimit>) -> Vec<Notice> {
    tie(policy, ties).into_iter().chain(limit.and_then(near)).collect()
}

fn tie(policy: &str, ties: &Ties) -> Option<Notice> {
    let others: Vec<&str> = ties.get(policy)?.iter().map(String::as_str).collect();
    Some(Notice {
        reason: Reason::PriorityTie,
        message: format!(
            "{} selects some of the same namespaces with the same priority; the first by name is followed",
            others.join(", ")
        ),
    })
}

fn near(SnapshotLimit { allowed, pressure }: SnapshotLimit) -> Option<Notice> {
    let (reason, state, relief) = match pressure {
        Pressure::None => return None,
        Pressure::NearLimit => (Reason::NearLimit, "nearly as many", ""),
        Pressure::AtLimit => (Reason::AtLimit, "as many", ", and intervals are doubled"),
    };
    let message = format!(
        "the cluster holds {state} snapshots of ours as maxSnapshots allows ({allowed}): as many are thinned \
         out as are too many, of those older than 48 h the oldest that are not the newest of their day{relief}. Raise it, \
         or keep fewer"
    );
    Some(Notice { reason, message })
}

/// What there is to say of deletions that wait for somebody's word, and how to give it.
#[must_use]
pub fn confirm(policy: &str, mass: &MassDeletion) -> Notice {
    let mut what = Vec::new();
    if mass.points > 0 {
        let others = mass.taken_under.join(", ");
        let others = if others.is_empty() { others } else { format!(" (taken under {others} among them)") };
        what.push(format!(
            "{} of {} recovery points{others} would be deleted sooner than was promised when they were taken",
            mass.points, mass.of_points,
        ));
    }
    if mass.gone > 0 {
        what.push(format!(
            "the sandboxes of {} of {} volumes would be found gone at once",
            mass.gone, mass.of_volumes
        ));
    }
    let what = what.join(", and ");
    let message = format!(
        "{what}; if that is meant: kubectl annotate backuppolicy {policy} --overwrite {}=$(date -u +%FT%TZ), which holds for \
         24 h",
        marks::DELETIONS_CONFIRMED
    );
    Notice { reason: Reason::MassDeletion, message }
}
