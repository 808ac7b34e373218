//! The keys of a cluster: its certificate authority, the certificates of the
//! API server and of an administrator, and the key that signs ServiceAccount
//! tokens.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
};

/// Files below the cluster's folder, all in PEM.
#[derive(Debug)]
pub(crate) struct Certificates {
    pub(crate) authority: PathBuf,
    pub(crate) server: PathBuf,
    pub(crate) server_key: PathBuf,
    pub(crate) token_key: PathBuf,
    pub(crate) token_public_key: PathBuf,
}

impl Certificates {
    /// Makes new ones. They live as long as the folder, so their dates do not matter.
    pub(crate) fn write(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let files = Self {
            authority: folder.join("ca.pem"),
            server: folder.join("apiserver.pem"),
            server_key: folder.join("apiserver-key.pem"),
            token_key: folder.join("token-key.pem"),
            token_public_key: folder.join("token-public-key.pem"),
        };
        let authority_key = KeyPair::generate()?;
        let mut authority = CertificateParams::default();
        authority.distinguished_name.push(DnType::CommonName, "testbed");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        std::fs::write(&files.authority, authority.self_signed(&authority_key)?.pem())?;

        let server_key = KeyPair::generate()?;
        let mut server = CertificateParams::new(["localhost", "kubernetes.default.svc"].map(str::to_owned))?;
        server.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        server.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        let issuer = Issuer::new(authority, authority_key);
        std::fs::write(&files.server, server.signed_by(&server_key, &issuer)?.pem())?;
        std::fs::write(&files.server_key, server_key.serialize_pem())?;

        // For people and tests; our own kubeconfig file has a token.
        let admin_key = KeyPair::generate()?;
        let mut admin = CertificateParams::default();
        admin.distinguished_name.push(DnType::CommonName, "admin");
        admin.distinguished_name.push(DnType::OrganizationName, "system:masters");
        admin.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        std::fs::write(folder.join("admin.pem"), admin.signed_by(&admin_key, &issuer)?.pem())?;
        std::fs::write(folder.join("admin-key.pem"), admin_key.serialize_pem())?;

        let token_key = KeyPair::generate()?;
        std::fs::write(&files.token_key, token_key.serialize_pem())?;
        std::fs::write(&files.token_public_key, token_key.public_key_pem())?;
        Ok(files)
    }
}
