//! What the API server, or the way to it, says went wrong: as a sentence, and as something that passes or not.

use hyper_util::client::legacy::Error as Transport;
use kube::Error;

/// A [`kube::Error`] as one sentence for people, without its causes: they are in it.
///
/// kube's own text holds the API server's whole answer, and so does every cause of it.
#[must_use]
pub fn sentence(error: &Error) -> String {
    match error {
        Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        Error::Api(status) if !status.reason.is_empty() => {
            format!("the API server answers {} ({})", status.code, status.reason)
        }
        Error::Api(status) => format!("the API server answers {}", status.code),
        Error::Service(_) | Error::HyperError(_) | Error::ReadEvents(_) => {
            format!("no answer from the API server: {}", root_cause(error))
        }
        Error::SerdeError(_) => format!("the API server's answer cannot be read: {}", root_cause(error)),
        other => match (other.to_string(), root_cause(other)) {
            (whole, root) if whole.contains(&root) => whole,
            (whole, root) => format!("{whole}: {root}"),
        },
    }
}

/// Whether the same call may well succeed later: the API server was not reached, did not answer in time, or was
/// not able to answer. A write may have been carried out all the same.
#[must_use]
pub fn is_passing(error: &Error) -> bool {
    match error {
        Error::Api(status) => matches!(status.code, 408 | 429 | 500..),
        Error::Service(_) | Error::HyperError(_) | Error::ReadEvents(_) => true,
        _ => false,
    }
}

/// Whether there was a connection to the API server, whatever came of it. Otherwise there may be none at that address.
#[must_use]
pub fn is_reached(error: &Error) -> bool {
    !causes(error).filter_map(|cause| cause.downcast_ref::<Transport>()).any(Transport::is_connect)
}

/// Whether the API server refused a call, for want of a right or by an admission rule.
#[must_use]
pub fn is_forbidden(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 403)
}

/// Whether the API server refused a call, or does not know who makes it.
#[must_use]
pub fn is_denied(error: &Error) -> bool {
    matches!(error, Error::Api(status) if matches!(status.code, 401 | 403))
}

/// What the innermost error says: the ones around it say in which layer of the client it was.
fn root_cause(error: &Error) -> String {
    let Some(root) = causes(error).last() else { return String::new() };
    let is_own_limit = root
        .downcast_ref::<std::io::Error>()
        .is_some_and(|io| io.kind() == std::io::ErrorKind::TimedOut && io.raw_os_error().is_none());
    // The client has other words for the limit of a connection than for that of an answer.
    if is_own_limit { "it took too long".to_owned() } else { root.to_string() }
}

/// The error and its causes, down to the innermost.
fn causes(error: &Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    let outermost: &(dyn std::error::Error + 'static) = error;
    std::iter::successors(Some(outermost), |error| error.source())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kube::core::Status;
    use tokio::net::TcpListener;

    use super::*;

    fn answer(code: u16, reason: &str, message: &str) -> Error {
        Error::Api(Box::new(Status::failure(message, reason).with_code(code)))
    }

    fn refused() -> Error {
        Error::Service(Box::new(std::io::Error::from_raw_os_error(111)))
    }

    #[test]
    fn the_api_servers_own_words_and_nothing_else() {
        let forbidden =
            answer(403, "Forbidden", "pods is forbidden: User \"u\" cannot list resource \"pods\"");
        assert_eq!(sentence(&forbidden), "pods is forbidden: User \"u\" cannot list resource \"pods\"");
        assert_eq!(sentence(&answer(503, "", "")), "the API server answers 503");
        assert_eq!(
            sentence(&answer(429, "TooManyRequests", "")),
            "the API server answers 429 (TooManyRequests)"
        );
        assert_eq!(sentence(&refused()), "no answer from the API server: Connection refused (os error 111)");
    }

    #[test]
    fn what_passes_is_told_from_what_lasts() {
        for code in [408, 429, 500, 502, 503, 504] {
            assert!(is_passing(&answer(code, "", "")), "{code}");
        }
        assert!(is_passing(&refused()));
        for code in [400, 401, 403, 404, 409, 422] {
            assert!(!is_passing(&answer(code, "", "")), "{code}");
        }
        assert!(is_forbidden(&answer(403, "Forbidden", "no")) && !is_forbidden(&answer(401, "", "")));
        assert!(is_denied(&answer(401, "", "")) && is_denied(&answer(403, "", "")));
        assert!(!is_denied(&answer(404, "", "")));
    }

    /// What the client makes of a call to that address, with these limits of 50 ms.
    async fn failure(url: String, connect: bool, read: bool) -> Error {
        let limit = |on: bool| on.then_some(Duration::from_millis(50));
        let mut config = kube::Config::new(url.parse().expect("a URL"));
        (config.connect_timeout, config.read_timeout, config.default_retry) =
            (limit(connect), limit(read), false);
        let client = kube::Client::try_from(config).expect("a client");
        client.apiserver_version().await.expect_err("nobody answers")
    }

    #[tokio::test]
    async fn a_connection_that_cannot_be_made_is_told_from_one_that_breaks() {
        // Connections are made, and nobody is there for them.
        let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = silent.local_addr().expect("an address");
        let too_long = "no answer from the API server: it took too long";
        let unconnected = failure(format!("https://{address}"), true, false).await;
        assert_eq!(sentence(&unconnected), too_long);
        let unanswered = failure(format!("http://{address}"), false, true).await;
        assert_eq!(sentence(&unanswered), too_long);
        assert!(is_passing(&unconnected) && !is_reached(&unconnected), "{unconnected:?}");
        assert!(is_passing(&unanswered) && is_reached(&unanswered), "{unanswered:?}");

        let (cut, ()) = tokio::join!(failure(format!("http://{address}"), false, false), async {
            // Two from before, and this one.
            for _ in 0..3 {
                drop(silent.accept().await);
            }
            drop(silent);
        });
        assert!(is_passing(&cut) && is_reached(&cut), "{cut:?}");
        let refused = failure(format!("http://{address}"), false, false).await;
        assert!(is_passing(&refused) && !is_reached(&refused), "{refused:?}");
        assert!(
            sentence(&refused).starts_with("no answer from the API server: Connection refused"),
            "{refused:?}"
        );
    }
}
