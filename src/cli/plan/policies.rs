//! What policies mean, for people.

use jiff::SignedDuration;

use crate::observe::{Meaning, Rules};

/// Prints a paragraph for each.
pub(super) fn print(policies: &[Meaning]) {
    for policy in policies {
        println!("{}\n", told(policy));
    }
}

fn told(policy: &Meaning) -> String {
    let Meaning { policy: name, priority, selector, selected, followed, outranked_by, .. } = policy;
    let selects = if selector.is_empty() {
        "every namespace".to_owned()
    } else {
        format!("namespaces with {selector}")
    };
    let reach = match (selected, followed) {
        (0, _) => "none of those known here".to_owned(),
        (selected, followed) if selected == followed => format!("{followed} known here"),
        (selected, followed) => {
            let others: Vec<&str> = outranked_by.iter().map(String::as_str).collect();
            format!(
                "{selected} known here, of which {followed} follow it and the others {}",
                others.join(", ")
            )
        }
    };
    format!("BackupPolicy {name}: priority {priority}, for {selects}: {reach}\n{}", asks_for(policy))
}

fn asks_for(policy: &Meaning) -> String {
    let Some(Rules { interval, max_age, keep_last, objective, points_per_volume, thinned, class }) =
        &policy.in_force
    else {
        let why = policy.held.map(|reason| reason.to_string()).unwrap_or_default();
        let problem = policy.problem.as_ref().map(|problem| format!(": {problem}")).unwrap_or_default();
        return format!("  not in force ({why}{problem}): no snapshot of theirs is taken and none is pruned");
    };
    let at_most = if *thinned { "thinned out, about" } else { "at most" };
    let class = class
        .as_ref()
        .map_or_else(|| "the default class of its driver".to_owned(), |class| format!("class {class}"));
    format!(
        "  a snapshot of each workspace every {}, of {class}\n  kept for {}, the newest {keep_last} whatever their \
         age: {at_most} {points_per_volume} of a workspace\n  protected while its newest ready one is younger than {}",
        length(interval.duration()),
        length(*max_age),
        length(*objective)
    )
}

/// A length of time as one writes it in a policy.
fn length(duration: SignedDuration) -> String {
    let mut left = duration.as_secs();
    let parts = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)].map(|(unit, seconds)| {
        let count = left / seconds;
        left %= seconds;
        if count > 0 { format!("{count}{unit}") } else { String::new() }
    });
    parts.concat()
}

#[cfg(test)]
mod tests {
    use crate::api::Period;

    use super::*;

    #[test]
    fn lengths_are_exact_and_read_back() {
        for text in ["10s", "1h", "1h30m", "14d", "2d12h"] {
            let duration = Period::from(text).duration().expect(text);
            assert_eq!(length(duration), text);
        }
    }
}
