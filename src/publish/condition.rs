//! Conditions keep the time of their last change.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// Puts a condition in its place; its transition time moves only when its status does.
pub fn set_condition(now: Timestamp, conditions: &mut Vec<Condition>, mut new: Condition) {
    let old = conditions.iter_mut().find(|condition| condition.type_ == new.type_);
    let unchanged = old.as_ref().filter(|old| old.status == new.status);
    // Kubernetes keeps whole seconds.
    let seconds = Timestamp::from_second(now.as_second()).unwrap_or(now);
    new.last_transition_time = unchanged.map_or(Time(seconds), |old| old.last_transition_time.clone());
    match old {
        Some(old) => *old = new,
        None => conditions.push(new),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(status: &str, reason: &str) -> Condition {
        Condition {
            type_: "Ready".into(),
            status: status.into(),
            reason: reason.into(),
            message: String::new(),
            observed_generation: None,
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
        }
    }

    #[test]
    fn the_transition_time_moves_with_the_status_alone() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let mut conditions = vec![];
        set_condition(at(10), &mut conditions, ready("True", "A"));
        set_condition(at(20), &mut conditions, ready("True", "B"));
        assert_eq!((conditions.len(), conditions[0].reason.as_str()), (1, "B"));
        assert_eq!(conditions[0].last_transition_time, Time(at(10)));
        set_condition(at(30), &mut conditions, ready("False", "B"));
        assert_eq!(conditions[0].last_transition_time, Time(at(30)));
    }
}
