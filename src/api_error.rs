//! What the API server, or the way to it, says went wrong: as a sentence, and as something that passes or not.

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
            format!("no answer from the API server: {}", root_words(error))
        }
        Error::SerdeError(_) => format!("the API server's answer cannot be read: {}", root_words(error)),
        other => match (other.to_string(), root_words(other)) {
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

/// Whether nothing speaks against an API server that only needs time: it says that it cannot for now, or nothing within
/// the limits for an answer and for a connection. Nobody refuses the connection.
#[must_use]
pub fn is_slow(error: &Error) -> bool {
    match error {
        Error::Api(_) => is_passing(error),
        other => took_too_long(root_cause(other)),
    }
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
fn root_words(error: &Error) -> String {
    match root_cause(error) {
        root if took_too_long(root) => "it took too long".to_owned(),
        root => root.to_string(),
    }
}

fn root_cause(error: &Error) -> &(dyn std::error::Error + 'static) {
    let mut root: &(dyn std::error::Error + 'static) = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root
}

/// What the client says once one of its own limits has passed.
fn took_too_long(root: &(dyn std::error::Error + 'static)) -> bool {
    let io = root.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut && error.raw_os_error().is_none())
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use kube::core::Status;

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
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_api_server_is_there_and_one_that_refuses_connections_is_not() {
        let never = tokio::time::timeout(std::time::Duration::from_secs(30), std::future::pending::<()>());
        let elapsed = never.await.expect_err("nothing comes");
        // As of a connection that does not come about, and of one on which nothing comes.
        let unconnected = Error::Service(Box::new(std::io::Error::new(ErrorKind::TimedOut, elapsed)));
        let unanswered = Error::Service(Box::new(std::io::Error::from(ErrorKind::TimedOut)));
        for silent in [unconnected, unanswered] {
            assert_eq!(sentence(&silent), "no answer from the API server: it took too long");
            assert!(is_slow(&silent), "{silent:?}");
        }
        assert!(is_slow(&answer(429, "", "")) && is_slow(&answer(503, "", "")));
        assert!(!is_slow(&refused()) && !is_slow(&answer(403, "", "")));
        assert!(is_denied(&answer(401, "", "")) && is_denied(&answer(403, "", "")));
        assert!(!is_denied(&answer(404, "", "")));
    }
}
