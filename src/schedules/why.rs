//! Why a Schedule is not simply enabled, in words.

use agenttier_backup_plan::schedules::{Why, Wish};

const EXCLUDED: &str =
    "its namespace is labelled velero.io/exclude-from-backup=true, and Velero refuses to back it up";

/// The stable name of a reason.
pub(super) fn name_of(why: Why) -> &'static str {
    match why {
        Why::NamespaceGone => "NamespaceGone",
        Why::NamespaceTerminating => "NamespaceTerminating",
        Why::NamespaceExcluded => "NamespaceExcluded",
        Why::PolicySuspended => "PolicySuspended",
        Why::PolicyInvalid => "PolicyInvalid",
        Why::PolicyOff => "PolicyOff",
        Why::NotSelected => "NotSelected",
        Why::ClusterRenamed => "ClusterRenamed",
        Why::ScheduleTaken => "ScheduleTaken",
        Why::NotCertain => "NotCertain",
    }
}

/// Why a Schedule is left alone, at length.
pub(super) fn why_untouched(why: Why, schedule: &str) -> String {
    match why {
        Why::ScheduleTaken => format!(
            "there is a Schedule {schedule} that is not ours, and it is left alone: delete it, or give this cluster another name \
             (optional.backup.velero.clusterName in the chart's values)"
        ),
        Why::NamespaceExcluded => EXCLUDED.into(),
        Why::PolicyInvalid => "its Schedule stays as it is until its policy makes sense again".into(),
        _ => "its Schedule stays as it is until policies and namespaces can be read again".into(),
    }
}

/// Why a Schedule is to be what it is to be, at length.
pub(super) fn at_length(why: Why, wish: Wish, schedule: &str) -> String {
    let message = match why {
        _ if matches!(wish, Wish::Untouched(_)) => return why_untouched(why, schedule),
        Why::NamespaceGone => "its namespace is gone",
        Why::NamespaceTerminating => "its namespace is being deleted",
        Why::NamespaceExcluded => EXCLUDED,
        Why::PolicySuspended => "its policy is suspended",
        Why::PolicyOff => "its policy wants no backups by Velero; the backups stay until their time is over",
        Why::NotSelected => "no policy selects its namespace; the backups stay until their time is over",
        Why::ClusterRenamed => {
            "the cluster is called otherwise now; the backups stay until their time is over"
        }
        Why::PolicyInvalid | Why::ScheduleTaken | Why::NotCertain => "it cannot be decided",
    };
    message.to_owned()
}
