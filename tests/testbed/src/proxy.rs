//! A proxy in front of an API server that counts writes and can cut in.
//!
//! It speaks plain HTTP on a loopback port, passes the caller's token on and
//! streams watches. kube clients work through it; client-go programs (helm,
//! kubectl) do not, because they send no token without TLS.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, HOST, TRANSFER_ENCODING};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use kube::Client;
use kube::client::Body;
use kube::config::AuthInfo;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use crate::access::write_kubeconfig;
use crate::cluster::Cluster;
use crate::cut::{self, Armed, Cut, Point, Side, Then};

/// A write that came through: POST, PUT, PATCH or DELETE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Its method.
    pub method: Method,
    /// Its path, with the query.
    pub path: String,
}

/// A running proxy; it ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    url: String,
    dir: PathBuf,
    traffic: Arc<Traffic>,
    server: JoinHandle<()>,
}

/// What all connections share.
pub(crate) struct Traffic {
    upstream: Client,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    requests: BTreeMap<String, u64>,
    writes: Vec<Write>,
    armed: Vec<Armed>,
}

type Reply = Response<UnsyncBoxBody<Bytes, kube::Error>>;

impl Cluster {
    /// Starts a proxy to this cluster's API server, on the current runtime.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn proxy(&self) -> Result<Proxy> {
        let mut config = self.admin_config();
        // Each request comes with its own identity, or none.
        config.auth_info = AuthInfo::default();
        // Whoever asks sets the limits.
        (config.connect_timeout, config.read_timeout) = (None, None);
        let upstream = Client::try_from(config)?;
        let traffic = Arc::new(Traffic { upstream, state: Mutex::default() });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("open the proxy's port")?;
        let url = format!("http://{}", listener.local_addr()?);
        let server = tokio::spawn(serve(listener, Arc::clone(&traffic)));
        Ok(Proxy { url, dir: self.dir().to_owned(), traffic, server })
    }
}

impl Proxy {
    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A kubeconfig file that leads through this proxy, for the owner of a
    /// token (see [`Cluster::service_account_token`]).
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn kubeconfig(&self, token: &str) -> Result<PathBuf> {
        let file = self.dir.join(format!("proxy-{}.kubeconfig", uuid::Uuid::new_v4().simple()));
        let cluster = kube::config::Cluster { server: Some(self.url.clone()), ..Default::default() };
        write_kubeconfig(&file, &cluster, token)?;
        Ok(file)
    }

    /// How many requests came, by method; a watch counts as one GET.
    #[must_use]
    pub fn requests(&self) -> BTreeMap<String, u64> {
        self.traffic.state().requests.clone()
    }

    /// All writes that came, in order, whatever became of them.
    #[must_use]
    pub fn writes(&self) -> Vec<Write> {
        self.traffic.state().writes.clone()
    }

    /// Lets the write wait when the point is reached, until it is released.
    #[must_use = "dropping it releases the write"]
    pub fn hold(&self, point: Point) -> Cut {
        cut::hold(&self.traffic, point)
    }

    /// Ends the write's connection, without an answer, when the point is reached.
    #[allow(clippy::must_use_candidate, reason = "it happens, whether anyone waits for it or not")]
    pub fn drop_connection(&self, point: Point) -> Cut {
        cut::call(&self.traffic, point, |_| std::future::ready(Then::Cut))
    }

    /// Runs `action` when the point is reached: to kill a process, say. It
    /// tells what becomes of the write.
    pub fn call<F, Fut>(&self, point: Point, action: F) -> Cut
    where
        F: FnOnce(Write) -> Fut + Send + 'static,
        Fut: Future<Output = Then> + Send + 'static,
    {
        cut::call(&self.traffic, point, action)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, traffic: Arc<Traffic>) {
    // Ends with this task, and takes its connections along.
    let mut connections = JoinSet::new();
    loop {
        // Nobody to serve is no reason to end: a test may open many connections.
        let Ok((stream, _)) = listener.accept().await else { continue };
        let traffic = Arc::clone(&traffic);
        let service = service_fn(move |request| {
            let traffic = Arc::clone(&traffic);
            async move { traffic.pass(request).await }
        });
        connections.spawn(async move {
            // A connection that was cut ends with an error; that is the idea.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
        while connections.try_join_next().is_some() {}
    }
}

impl Traffic {
    pub(crate) fn arm(&self, armed: Armed) {
        self.state().armed.push(armed);
    }

    /// Passes a request on. An error ends the connection without an answer.
    async fn pass(&self, request: Request<Incoming>) -> Result<Reply, CutOff> {
        let write = self.count(&request);
        let before = write.as_ref().and_then(|write| self.due(Side::Before, write));
        if let (Some(armed), Some(write)) = (before, &write)
            && armed.react(write).await == Then::Cut
        {
            return Err(CutOff);
        }
        let after = write.as_ref().and_then(|write| self.due(Side::After, write));
        let (mut head, body) = request.into_parts();
        for header in [HOST, CONNECTION, TRANSFER_ENCODING] {
            head.headers.remove(header);
        }
        let body = body.collect().await.map_err(|_| CutOff)?.to_bytes();
        let answer = self.upstream.send(Request::from_parts(head, Body::from(body))).await;
        let (mut head, body) = answer.map_err(|_| CutOff)?.into_parts();
        for header in [CONNECTION, TRANSFER_ENCODING] {
            head.headers.remove(header);
        }
        let (Some(armed), Some(write)) = (after, write) else {
            return Ok(Response::from_parts(head, body.boxed_unsync()));
        };
        // The whole of it: what the API server did is done by now.
        let body = body.collect_bytes().await.map_err(|_| CutOff)?;
        match armed.react(&write).await {
            Then::Cut => Err(CutOff),
            Then::Pass => {
                let body = Full::new(body).map_err(|never| match never {}).boxed_unsync();
                Ok(Response::from_parts(head, body))
            }
        }
    }

    fn count(&self, request: &Request<Incoming>) -> Option<Write> {
        let mut state = self.state();
        *state.requests.entry(request.method().to_string()).or_default() += 1;
        let is_write = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(request.method());
        is_write.then(|| {
            let write = Write { method: request.method().clone(), path: request.uri().to_string() };
            state.writes.push(write.clone());
            write
        })
    }

    /// The first cut on that side whose turn this write is. All count it.
    fn due(&self, side: Side, write: &Write) -> Option<Armed> {
        let mut state = self.state();
        let mut due = None;
        for (at, armed) in state.armed.iter_mut().enumerate() {
            if armed.is_hit_by(side, write) && due.is_none() {
                due = Some(at);
            }
        }
        due.map(|at| state.armed.remove(at))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Traffic {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Traffic").field("writes", &self.state().writes).finish_non_exhaustive()
    }
}

/// The connection is to be ended without an answer.
#[derive(Debug)]
struct CutOff;

impl fmt::Display for CutOff {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the connection was cut")
    }
}

impl std::error::Error for CutOff {}

impl fmt::Display for Write {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.method, self.path)
    }
}
