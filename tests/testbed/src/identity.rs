//! Who one is towards a cluster: kubeconfig files and ServiceAccount tokens.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::json;

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
        write_kubeconfig(&file, self.url(), Some(&self.control_plane.certificates.authority), &token)?;
        Ok(file)
    }
}

/// A client as a kubeconfig file says, that retries nothing by itself.
///
/// # Errors
/// When the file does not say how to reach a cluster.
pub async fn client_of(kubeconfig: &Path) -> Result<Client> {
    Ok(Client::try_from(client_config(kubeconfig).await?)?)
}

pub(crate) async fn client_config(kubeconfig: &Path) -> Result<Config> {
    let file = Kubeconfig::read_from(kubeconfig)?;
    let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    // A retry would hide what a test wants to see.
    config.default_retry = false;
    Ok(config)
}

pub(crate) fn write_kubeconfig(file: &Path, url: &str, authority: Option<&Path>, token: &str) -> Result<()> {
    let mut cluster = json!({"server": url});
    if let Some(authority) = authority {
        cluster["certificate-authority"] = json!(authority);
    }
    let content = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "testbed",
        "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": "testbed"}}],
        "clusters": [{"name": "testbed", "cluster": cluster}],
        "users": [{"name": "testbed", "user": {"token": token}}],
    });
    std::fs::write(file, serde_saphyr::to_string(&content)?)
        .with_context(|| format!("write {}", file.display()))
}
