//! Lists, page by page: of each page is kept what is needed, so that no list has to be held whole.

use std::fmt::Debug;
use std::sync::Arc;

use kube::api::ListParams;
use kube::core::DeserializeGuard;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

use super::trim::Trim;

/// So many objects a page has.
const PAGE: u32 = 500;

/// All pages of a list, and of each object what `keep` makes of it.
pub(super) async fn list_kept<K, T>(
    api: &Api<DeserializeGuard<K>>,
    params: ListParams,
    mut keep: impl FnMut(DeserializeGuard<K>) -> Option<T>,
) -> kube::Result<Vec<T>>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let mut kept = Vec::new();
    let mut params = params.limit(PAGE);
    loop {
        let page = api.list(&params).await?;
        kept.extend(page.items.into_iter().filter_map(&mut keep));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(kept),
        }
    }
}

/// All objects of a list as they are.
pub(super) async fn list<K>(
    api: &Api<DeserializeGuard<K>>,
    params: ListParams,
) -> kube::Result<Vec<DeserializeGuard<K>>>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    list_kept(api, params, Some).await
}

/// An object as it is, or what stands in for one that cannot be read.
pub(super) fn whole<K: Trim>(object: DeserializeGuard<K>) -> Option<Arc<K>> {
    there(object).map(Arc::new)
}

/// The same, cut down to what the caches hold of it.
pub(super) fn cut_down<K: Trim>(object: DeserializeGuard<K>) -> Option<Arc<K>> {
    let mut object = there(object)?;
    object.trim();
    Some(Arc::new(object))
}

fn there<K: Trim>(DeserializeGuard(object): DeserializeGuard<K>) -> Option<K> {
    object.map_or_else(|unreadable| K::stand_in(unreadable.metadata), Some)
}

#[cfg(test)]
mod tests {
    use http::{Request, Response};
    use kube::Client;
    use kube::client::Body;
    use serde_json::{Value, json};
    use velero::{Backup, Schedule};

    use super::*;

    fn backup(name: &str) -> Value {
        json!({
            "apiVersion": "velero.io/v1",
            "kind": "Backup",
            "metadata": {
                "name": name,
                "labels": { "backup.agenttier.io/namespace": "team-a" },
                "managedFields": [{ "manager": "velero-server", "operation": "Update" }],
            },
            "spec": { "includedNamespaces": ["team-a"] },
            "status": { "phase": "Completed", "progress": { "totalItems": 9, "itemsBackedUp": 9 } },
        })
    }

    /// An API server that has two pages.
    fn server() -> Client {
        let server = tower::service_fn(|request: Request<Body>| async move {
            let query = request.uri().query().unwrap_or_default().to_owned();
            let (name, next) = if query.contains("continue=more") { ("b2", "") } else { ("b1", "more") };
            let page = json!({
                "apiVersion": "velero.io/v1",
                "kind": "BackupList",
                "metadata": { "continue": next },
                "items": [backup(name)],
            });
            Ok::<_, std::convert::Infallible>(Response::new(Body::from(page.to_string().into_bytes())))
        });
        Client::new(server, "velero")
    }

    #[tokio::test]
    async fn each_page_is_cut_down_as_it_comes() {
        let api: Api<DeserializeGuard<Backup>> = Api::namespaced(server(), "velero");
        let kept = list_kept(&api, ListParams::default(), cut_down).await.expect("two pages");
        let names: Vec<_> = kept.iter().filter_map(|backup| backup.metadata.name.as_deref()).collect();
        assert_eq!(names, ["b1", "b2"]);
        for backup in kept {
            assert!(backup.metadata.managed_fields.is_none() && backup.metadata.labels.is_some());
            assert!(backup.spec.included_namespaces.is_none(), "it is in its Schedule");
            let status = backup.status.as_ref().expect("one");
            assert!(status.phase.is_some() && status.progress.is_none());
        }
    }

    #[test]
    fn what_stands_in_for_an_object_is_kept() {
        let unreadable = || {
            let schedule = json!({
                "apiVersion": "velero.io/v1",
                "kind": "Schedule",
                "metadata": { "name": "east-team-a" },
                "spec": { "schedule": "@daily", "template": { "ttl": "14d" } },
            });
            serde_json::from_value::<DeserializeGuard<Schedule>>(schedule).expect("a guard takes it")
        };
        for kept in [whole(unreadable()), cut_down(unreadable())] {
            assert_eq!(kept.and_then(|kept| kept.metadata.name.clone()).as_deref(), Some("east-team-a"));
        }
    }
}
