//! The claims of one namespace and the volumes of the cluster, for a command that asks for no more.

use kube::api::ListParams;
use kube::{Api, Client};

use super::Observed;
use super::pages::{cut_down, list_kept};
use crate::api_error::is_forbidden;

impl Observed {
    /// Reads them once; `None` where whoever asks may not.
    ///
    /// # Errors
    /// When a list cannot be had otherwise.
    pub(crate) async fn claimed(client: &Client, namespace: &str) -> kube::Result<Option<Self>> {
        let (claims, volumes) = (Api::namespaced(client.clone(), namespace), Api::all(client.clone()));
        let lists = futures::try_join!(
            list_kept(&claims, ListParams::default(), cut_down),
            list_kept(&volumes, ListParams::default(), cut_down),
        );
        match lists {
            Ok((claims, persistent_volumes)) => {
                Ok(Some(Self { claims, persistent_volumes, ..Self::default() }))
            }
            Err(error) if is_forbidden(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
