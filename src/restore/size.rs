//! How large a restored volume is.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::quantity::billionths;
use crate::agenttier::Storage;
use crate::csi::VolumeSnapshot;

/// AgentTier's size for a workspace whose Sandbox names none.
const DEFAULT: &str = "10Gi";

/// The largest of what the snapshot needs, what the volume that it was taken of asked for, and what the Sandbox asks
/// for: the provisioner refuses less than the first (external-provisioner, "requested volume size is less than the
/// size of the source snapshot"), and a copy with less room than its source has would fill up first.
pub(super) fn size(
    snapshot: &VolumeSnapshot,
    like: Option<&PersistentVolumeClaim>,
    storage: &Storage,
) -> Quantity {
    let needed = snapshot.status.as_ref().and_then(|status| status.restore_size.clone());
    let requests = like.and_then(|claim| claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref());
    let requested = requests.and_then(|requests| requests.get("storage").cloned());
    let asked = storage.size.as_ref().map(|size| match size {
        IntOrString::Int(bytes) => Quantity(bytes.to_string()),
        IntOrString::String(text) => Quantity(text.clone()),
    });
    [needed, requested, asked]
        .into_iter()
        .flatten()
        .filter_map(|quantity| Some((billionths(&quantity).filter(|size| *size > 0)?, quantity)))
        .max_by_key(|(size, _)| *size)
        .map_or_else(|| Quantity(DEFAULT.to_owned()), |(_, quantity)| quantity)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn chosen(needed: Option<&str>, requested: Option<&str>, asked: Option<IntOrString>) -> String {
        let snapshot: VolumeSnapshot = serde_json::from_value(json!({
            "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot", "metadata": {},
            "spec": { "source": {} }, "status": { "restoreSize": needed },
        }))
        .expect("a snapshot");
        let like = requested.map(|size| {
            serde_json::from_value(json!({ "spec": { "resources": { "requests": { "storage": size } } } }))
                .expect("a claim")
        });
        size(&snapshot, like.as_ref(), &Storage { size: asked, ..Storage::default() }).0
    }

    #[test]
    fn the_largest_wins_whoever_says_it_and_in_whichever_unit() {
        let text = |size: &str| Some(IntOrString::String(size.into()));
        assert_eq!(chosen(Some("1Gi"), Some("10Gi"), text("5Gi")), "10Gi");
        assert_eq!(chosen(Some("1073741824"), Some("1G"), text("1000Mi")), "1073741824");
        assert_eq!(chosen(Some("1Gi"), Some("1Gi"), text("2000M")), "2000M");
        assert_eq!(chosen(None, None, Some(IntOrString::Int(2048))), "2048");
    }

    #[test]
    fn what_says_nothing_does_not_count() {
        assert_eq!(chosen(Some("0"), Some("3Gi"), None), "3Gi");
        assert_eq!(chosen(None, None, Some(IntOrString::String("lots".into()))), "10Gi");
        assert_eq!(chosen(None, None, None), "10Gi");
    }
}
