//! Where a proxy cuts in, and what happens there.

use std::fmt;
use std::pin::Pin;

use anyhow::{Context, Result};
use tokio::sync::oneshot;

use crate::proxy::{Traffic, Write};

/// A point in the traffic of writes, counted from when it is set.
pub struct Point {
    pub(crate) side: Side,
    nth: u64,
    matching: Box<dyn Fn(&Write) -> bool + Send + Sync>,
}

/// Before the API server sees a write, or after it has answered and before
/// the caller hears of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Before,
    After,
}

/// What becomes of a write after a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It goes on as if nothing had happened.
    Pass,
    /// Its connection ends without an answer.
    Cut,
}

impl Point {
    /// Before the `nth` write from now (the next one is the first) reaches the
    /// API server.
    #[must_use]
    pub fn before(nth: u64) -> Self {
        Self { side: Side::Before, nth, matching: Box::new(|_| true) }
    }

    /// After the API server has answered the `nth` write from now, and before
    /// the caller gets the answer.
    #[must_use]
    pub fn after(nth: u64) -> Self {
        Self { side: Side::After, nth, matching: Box::new(|_| true) }
    }

    /// Counts only such writes; those of a lease, for instance, come at any time.
    #[must_use]
    pub fn of(mut self, matching: impl Fn(&Write) -> bool + Send + Sync + 'static) -> Self {
        self.matching = Box::new(matching);
        self
    }
}

impl fmt::Debug for Point {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?} write {}", self.side, self.nth)
    }
}

type Action = Box<dyn FnOnce(Write) -> Pin<Box<dyn Future<Output = Then> + Send>> + Send>;

/// A point that waits to be reached.
pub(crate) struct Armed {
    point: Point,
    reached: oneshot::Sender<Write>,
    action: Action,
}

impl Armed {
    /// Counts a write; true when it is the one.
    pub(crate) fn is_hit_by(&mut self, side: Side, write: &Write) -> bool {
        if side != self.point.side || !(self.point.matching)(write) {
            return false;
        }
        self.point.nth = self.point.nth.saturating_sub(1);
        self.point.nth == 0
    }

    pub(crate) async fn react(self, write: &Write) -> Then {
        // The test need not be waiting for it.
        let _ = self.reached.send(write.clone());
        (self.action)(write.clone()).await
    }
}

/// A cut that was set. When it is dropped, a write that it holds goes on.
#[derive(Debug)]
pub struct Cut {
    reaching: oneshot::Receiver<Write>,
    reached: Option<Write>,
    release: oneshot::Sender<()>,
}

impl Cut {
    /// Waits until the point is reached, and tells by which write. Without a
    /// limit: set one around it.
    ///
    /// # Errors
    /// When the proxy is gone.
    pub async fn reached(&mut self) -> Result<Write> {
        if let Some(write) = &self.reached {
            return Ok(write.clone());
        }
        let write = (&mut self.reaching).await.context("the proxy has ended")?;
        self.reached = Some(write.clone());
        Ok(write)
    }

    /// Lets a write go on that is held, or will be.
    pub fn release(self) {
        // Whoever does not wait for it needs no word.
        let _ = self.release.send(());
    }
}

pub(crate) fn hold(traffic: &Traffic, point: Point) -> Cut {
    let (release, released) = oneshot::channel();
    let action = |_: Write| async {
        // Dropped is released too.
        let _ = released.await;
        Then::Pass
    };
    arm(traffic, point, Box::new(|write| Box::pin(action(write))), release)
}

pub(crate) fn call<F, Fut>(traffic: &Traffic, point: Point, action: F) -> Cut
where
    F: FnOnce(Write) -> Fut + Send + 'static,
    Fut: Future<Output = Then> + Send + 'static,
{
    arm(traffic, point, Box::new(|write| Box::pin(action(write))), oneshot::channel().0)
}

fn arm(traffic: &Traffic, point: Point, action: Action, release: oneshot::Sender<()>) -> Cut {
    let (reached, reaching) = oneshot::channel();
    traffic.arm(Armed { point, reached, action });
    Cut { reaching, reached: None, release }
}
