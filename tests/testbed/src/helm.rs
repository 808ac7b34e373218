//! Helm, against a cluster of ours and with nothing of the user's.

use anyhow::{Result, bail};

use crate::cluster::Cluster;
use crate::process::Exit;

impl Cluster {
    /// Runs helm with all rights on this cluster, and gives its output. Its
    /// caches and settings are this cluster's own.
    ///
    /// # Errors
    /// When helm fails, with what it said.
    pub async fn helm(&self, args: &[&str]) -> Result<String> {
        let home = self.dir().join("helm");
        let folder = |name: &str| home.join(name).display().to_string();
        let env = [
            ("KUBECONFIG", self.kubeconfig().display().to_string()),
            ("HELM_CACHE_HOME", folder("cache")),
            ("HELM_CONFIG_HOME", folder("config")),
            ("HELM_DATA_HOME", folder("data")),
        ];
        let env = env.each_ref().map(|(name, value)| (*name, value.as_str()));
        // A name, and so a log, of its own: helm may run several times at once.
        let name = format!("helm-{}", uuid::Uuid::new_v4().simple());
        let process = self.spawn(&name, self.toolbox.binary("helm"), args, &env).await?;
        let exit = process.wait().await?;
        let output = process.log()?;
        if exit != Exit::Code(0) {
            bail!("`helm {}` ended with {exit}:\n{output}", args.join(" "));
        }
        Ok(output)
    }
}
