//! Objects that cannot be read: each is named, and left out, and stops nothing else.

use kube::Resource;
use kube::core::{DeserializeGuard, ObjectMeta, error_boundary::InvalidObject};
use kube::runtime::watcher;

use super::following::Following;
use super::trim::Trim;

/// Keeps account of what cannot be read.
pub(super) fn note<K: Resource<DynamicType = ()>>(
    following: &Following,
    event: &watcher::Event<DeserializeGuard<K>>,
) {
    use watcher::Event;
    match event {
        Event::Init => following.lists(),
        Event::InitApply(object) if object.0.is_err() => following.listed_unreadable(name_of(object.meta())),
        Event::InitApply(_) => {}
        Event::InitDone => following.listed(),
        Event::Apply(object) => following.saw(name_of(object.meta()), object.0.is_ok()),
        Event::Delete(object) => following.saw(name_of(object.meta()), true),
    }
}

/// `namespace/name`, or `name` where there is no namespace.
fn name_of(meta: &ObjectMeta) -> String {
    let name = meta.name.as_deref().unwrap_or_default();
    meta.namespace.as_ref().map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}"))
}

/// An object that cannot be read is as good as not there, unless something stands in for it: it is named in the log, and
/// stops nothing else.
pub(super) fn readable<K>(event: watcher::Event<DeserializeGuard<K>>) -> Option<watcher::Event<K>>
where
    K: Resource<DynamicType = ()> + Trim + Default,
{
    use watcher::Event;
    Some(match event {
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
        Event::InitApply(DeserializeGuard(Ok(object))) => Event::InitApply(object),
        Event::Apply(DeserializeGuard(Ok(object))) => Event::Apply(object),
        Event::Delete(DeserializeGuard(Ok(object))) => Event::Delete(object),
        Event::InitApply(DeserializeGuard(Err(unreadable))) => {
            report::<K>(&unreadable);
            return K::stand_in(unreadable.metadata).map(Event::InitApply);
        }
        // What was known of it before is no longer true.
        Event::Apply(DeserializeGuard(Err(unreadable))) => {
            report::<K>(&unreadable);
            match K::stand_in(unreadable.metadata.clone()) {
                Some(stand_in) => Event::Apply(stand_in),
                None => Event::Delete(of_name(unreadable.metadata)),
            }
        }
        Event::Delete(DeserializeGuard(Err(unreadable))) => Event::Delete(of_name(unreadable.metadata)),
    })
}

fn of_name<K: Resource + Default>(metadata: ObjectMeta) -> K {
    let mut object = K::default();
    *object.meta_mut() = metadata;
    object
}

fn report<K: Resource<DynamicType = ()>>(unreadable: &InvalidObject) {
    let (kind, error) = (K::kind(&()), &unreadable.error);
    let namespace = unreadable.metadata.namespace.as_deref().unwrap_or_default();
    let name = unreadable.metadata.name.as_deref().unwrap_or_default();
    tracing::warn!(%kind, namespace, name, %error, "cannot be read; it is left out");
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::csi::VolumeSnapshot;

    fn guarded(spec: &serde_json::Value) -> DeserializeGuard<VolumeSnapshot> {
        let object = json!({
            "apiVersion": "snapshot.storage.k8s.io/v1",
            "kind": "VolumeSnapshot",
            "metadata": { "namespace": "n", "name": "s" },
            "spec": spec,
        });
        serde_json::from_value(object).expect("a guard takes everything that has metadata")
    }

    #[test]
    fn what_cannot_be_read_is_left_out_and_forgotten() {
        use watcher::Event;
        let good = || guarded(&json!({ "source": {} }));
        let bad = || guarded(&json!({ "source": 7 }));
        assert!(matches!(readable(Event::Apply(good())), Some(Event::Apply(_))));
        assert!(readable(Event::InitApply(bad())).is_none());
        let Some(Event::Delete(gone)) = readable(Event::Apply(bad())) else { panic!("what was known goes") };
        assert_eq!(
            (gone.metadata.namespace.as_deref(), gone.metadata.name.as_deref()),
            (Some("n"), Some("s"))
        );
        assert!(matches!(readable(Event::Delete(bad())), Some(Event::Delete(_))));
    }

    /// Otherwise it would count as gone, and be made anew beside itself.
    #[test]
    fn a_schedule_that_cannot_be_read_is_there() {
        let schedule = json!({
            "apiVersion": "velero.io/v1",
            "kind": "Schedule",
            "metadata": { "namespace": "velero", "name": "east-team-a", "uid": "1" },
            "spec": { "schedule": "@daily", "template": { "ttl": "14d" } },
        });
        let guarded: DeserializeGuard<velero::Schedule> =
            serde_json::from_value(schedule).expect("a guard takes everything that has metadata");
        let Some(watcher::Event::Apply(stand_in)) = readable(watcher::Event::Apply(guarded)) else {
            panic!("it is there")
        };
        assert_eq!(stand_in.metadata.uid.as_deref(), Some("1"));
        assert_eq!(stand_in.spec, velero::ScheduleSpec::default());
    }

    #[test]
    fn what_cannot_be_read_is_known_by_name() {
        use watcher::Event;
        let good = || guarded(&json!({ "source": {} }));
        let bad = || guarded(&json!({ "source": 7 }));
        let following = Following::new(Arc::default());
        let after = |event| {
            note(&following, &event);
            following.unreadable()
        };
        assert_eq!(after(Event::Apply(bad())), ["n/s"]);
        assert_eq!(after(Event::Apply(good())), [""; 0]);
        after(Event::Apply(bad()));
        assert_eq!(after(Event::Delete(bad())), [""; 0]);
        after(Event::Init);
        after(Event::InitApply(bad()));
        assert_eq!(after(Event::InitDone), ["n/s"]);
        after(Event::Init);
        after(Event::InitApply(good()));
        assert_eq!(after(Event::InitDone), [""; 0]);
    }
}
