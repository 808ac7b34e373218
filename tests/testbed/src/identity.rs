//! ServiceAccounts and their tokens.

use std::path::PathBuf;

use anyhow::{Context, Result};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::PostParams;

use crate::access::write_kubeconfig;
use crate::cluster::Cluster;

/// How long a minted token is good for, in seconds.
const TOKEN_SECONDS: i64 = 24 * 3600;

impl Cluster {
    /// A token of a ServiceAccount, good for a day.
    ///
    /// # Errors
    /// When there is no such ServiceAccount.
    pub async fn service_account_token(&self, namespace: &str, name: &str) -> Result<String> {
        let accounts = Api::<ServiceAccount>::namespaced(self.client(), namespace);
        let spec =
            TokenRequestSpec { expiration_seconds: Some(TOKEN_SECONDS), ..TokenRequestSpec::default() };
        let request = TokenRequest { spec, ..TokenRequest::default() };
        let answer = accounts
            .create_token_request(name, &PostParams::default(), &request)
            .await
            .with_context(|| format!("mint a token of the ServiceAccount {namespace}/{name}"))?;
        Ok(answer.status.context("a token request is answered with a token")?.token)
    }

    /// A kubeconfig file with the rights of a ServiceAccount.
    ///
    /// # Errors
    /// When there is no such ServiceAccount.
    pub async fn service_account_kubeconfig(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let token = self.service_account_token(namespace, name).await?;
        let file = self.dir().join(format!("{namespace}-{name}.kubeconfig"));
        write_kubeconfig(&file, &self.access().cluster, &token)?;
        Ok(file)
    }
}
