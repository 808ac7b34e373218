//! Reading a file from the object store, by a URL that says who may.

use std::time::Duration;

use http::{Request, Uri};
use http_body_util::{BodyExt as _, Limited};
use kube::client::Body;
use kube::{Client, Config};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::Unread;

/// Packed lists of errors are small; nothing larger is read.
const LARGEST: usize = 4 << 20;
const CONNECTED_WITHIN: Duration = Duration::from_secs(5);
const READ_WITHIN: Duration = Duration::from_secs(15);

/// What is at the URL. Redirections are not followed. `certificates` are the store's own authorities, in PEM; without any
/// those of the system count.
///
/// The client for Kubernetes is an HTTP client with deadlines and certificates; here it is one without credentials.
pub(super) async fn fetch(url: &str, certificates: Option<&[u8]>) -> Result<Vec<u8>, Unread> {
    let failed = |error: String| Unread::Store(error);
    let url: Uri = url.parse().map_err(|_| failed("its URL is none".into()))?;
    let (Some("http" | "https"), Some(authority)) = (url.scheme_str(), url.authority()) else {
        return Err(failed("its URL is none of HTTP".into()));
    };
    let origin = Uri::builder().scheme(url.scheme_str().unwrap_or_default()).authority(authority.clone());
    let origin = origin.path_and_query("/").build().map_err(|error| failed(error.to_string()))?;
    let mut config = Config::new(origin);
    config.default_retry = false;
    config.connect_timeout = Some(CONNECTED_WITHIN);
    config.read_timeout = Some(READ_WITHIN);
    config.root_cert = certificates.map(authorities).transpose()?;
    let client = Client::try_from(config).map_err(|error| failed(error.to_string()))?;

    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path).body(Body::empty()).map_err(|error| failed(error.to_string()))?;
    let read = async {
        let response = client.send(request).await.map_err(|error| failed(with_causes(&error)))?;
        if !response.status().is_success() {
            return Err(failed(format!("it answers {}", response.status())));
        }
        let body = Limited::new(response.into_body(), LARGEST).collect().await;
        Ok(body.map_err(|error| failed(error.to_string()))?.to_bytes().to_vec())
    };
    tokio::time::timeout(READ_WITHIN, read).await.unwrap_or_else(|_| Err(failed("no answer in time".into())))
}

fn authorities(pem: &[u8]) -> Result<Vec<Vec<u8>>, Unread> {
    let all = CertificateDer::pem_slice_iter(pem).map(|one| one.map(|one| one.to_vec()));
    all.collect::<Result<_, _>>()
        .map_err(|error| Unread::Store(format!("its location's caCert cannot be read: {error}")))
}

/// What a TLS failure is due to is told by its causes alone.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |told, cause| {
        let cause = cause.to_string();
        if told.contains(&cause) { told } else { format!("{told}: {cause}") }
    })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// A store that answers one request with this; returns its address, and what it was asked.
    async fn store(answer: Vec<u8>) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("somebody asks");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).await.expect("a head");
                head.extend(byte);
            }
            // It may hang up once it has seen enough.
            let _ = stream.write_all(&answer).await;
            String::from_utf8(head).expect("text")
        });
        (address, asked)
    }

    fn answer(head: &str, body: &[u8]) -> Vec<u8> {
        [format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
    }

    #[tokio::test]
    async fn the_signed_path_is_asked_for_as_it_is_and_nothing_is_told_of_who_asks() {
        let (address, asked) = store(answer("200 OK", b"packed")).await;
        let path = "/b/east-team-a%20x.gz?X-Amz-Signature=ab%2Fcd&x=1";
        let got = fetch(&format!("http://{address}{path}"), None).await.expect("it answers");
        assert_eq!(got, b"packed");
        let asked = asked.await.expect("it ends").to_lowercase();
        assert!(asked.starts_with(&format!("get {path} http/1.1\r\n").to_lowercase()), "{asked}");
        assert!(asked.contains(&format!("host: {address}")), "{asked}");
        assert!(!asked.contains("authorization"), "{asked}");
    }

    async fn refused(answer: Vec<u8>) -> String {
        let (address, _) = store(answer).await;
        fetch(&format!("http://{address}/x"), None).await.expect_err("it is refused").to_string()
    }

    #[tokio::test]
    async fn what_is_no_file_is_said() {
        assert!(refused(answer("403 Forbidden", b"expired")).await.contains("403"));
        let redirect = answer("302 Found\r\nlocation: http://169.254.169.254/", b"");
        assert!(refused(redirect).await.contains("302"), "it is not followed");
        assert!(refused(answer("200 OK", &vec![0; LARGEST + 1])).await.contains("limit"));
        for url in ["file:///etc/passwd", "", "not a url", "ftp://store/x"] {
            assert!(fetch(url, None).await.expect_err(url).to_string().contains("URL"), "{url}");
        }
    }

    #[tokio::test]
    async fn authorities_that_are_none_are_named() {
        let pem = b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
        let error = fetch("https://127.0.0.1:1/x", Some(pem)).await.expect_err("it is none");
        assert!(error.to_string().contains("caCert"), "{error}");
    }
}
