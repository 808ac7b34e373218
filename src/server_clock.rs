//! The API server's clock, read off its answers.
//!
//! The times of objects are the API server's. A local clock that is wrong must neither cover slots that have not
//! begun nor age anything, so planning goes by this one.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use futures::{FutureExt, TryFutureExt};
use http::header::DATE;
use http::{HeaderMap, Request, Response};
use jiff::fmt::rfc2822::DateTimeParser;
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use tower::{Layer, Service};

use crate::api_error::sentence;
use crate::deadline::CALL_DEADLINE;

/// An answer that took longer says too little to measure a skew by: it may have been dated at any moment of its way. Where
/// there is no better one, it still tells a clock that is off by more than that.
const LONGEST_ROUND_TRIP: Duration = Duration::from_secs(5);
/// A measure is off by less: half a second for the header's resolution, half of the round trip. A smaller skew is
/// no skew.
const PRECISION: SignedDuration = SignedDuration::from_secs(5);
/// After so long a new measure is asked for.
const FRESH: Duration = Duration::from_mins(5);
/// An older measure says nothing any more.
const LONGEST_USE: Duration = Duration::from_hours(1);

/// What is known of the API server's clock. Clones share it.
///
/// Each answer's `Date` counts, by what the monotonic clock says of its round trip. The local clock is looked at
/// when somebody asks: one that is set between two answers is noticed at once.
#[derive(Debug, Clone, Default)]
pub struct ServerClock {
    /// By the latest quick answer. Until there is one, or since it no longer holds, by the latest of all.
    latest: Arc<Mutex<Option<Measure>>>,
}

/// The API server's clock at a moment of ours.
#[derive(Debug, Clone, Copy)]
struct Measure {
    at: Instant,
    /// The local clock then.
    ours: Timestamp,
    /// The API server's clock then.
    theirs: Timestamp,
    /// It may have been so much more or less.
    within: Duration,
}

/// The same moment by both local clocks.
#[derive(Debug, Clone, Copy)]
struct Moment {
    at: Instant,
    ours: Timestamp,
}

impl Moment {
    fn now() -> Self {
        Self { at: Instant::now(), ours: Timestamp::now() }
    }
}

impl Measure {
    /// From an answer with this date to a request that was sent at `sent`; `None` for a date at the end of all time.
    fn of(sent: Instant, answered: Moment, date: Timestamp) -> Option<Self> {
        let round_trip = answered.at.saturating_duration_since(sent);
        // Dates are cut to seconds: it was dated between `date` and a second later, and has been on its way since for
        // no longer than the round trip.
        let halfway = (Duration::from_secs(1) + round_trip) / 2;
        Some(Self {
            at: answered.at,
            ours: answered.ours,
            theirs: date.checked_add(halfway).ok()?,
            within: halfway,
        })
    }

    /// Whether it is good enough to tell a skew by.
    fn is_quick(&self) -> bool {
        self.within <= (Duration::from_secs(1) + LONGEST_ROUND_TRIP) / 2
    }

    /// The API server's clock now.
    fn theirs(&self, now: Moment) -> Timestamp {
        let passed = now.at.saturating_duration_since(self.at);
        self.theirs.checked_add(passed).unwrap_or(Timestamp::MAX)
    }

    /// The local clock was set since, or the machine slept: both clocks have gone on by different times.
    fn is_broken(&self, now: Moment) -> bool {
        let passed = SignedDuration::try_from(now.at.saturating_duration_since(self.at));
        let passed_by_clock = now.ours.duration_since(self.ours);
        passed.is_ok_and(|passed| (passed_by_clock - passed).unsigned_abs() > PRECISION.unsigned_abs())
    }
}

impl ServerClock {
    /// The local clock minus the API server's, as last measured; `None` while there is no measure of use.
    #[must_use]
    pub fn skew(&self) -> Option<SignedDuration> {
        self.skew_at(Moment::now())
    }

    fn skew_at(&self, now: Moment) -> Option<SignedDuration> {
        let measure = self.latest().filter(Measure::is_quick)?;
        let usable = now.at.saturating_duration_since(measure.at) <= LONGEST_USE;
        usable.then(|| now.ours.duration_since(measure.theirs(now)))
    }

    /// The time by the API server's clock, as best known: the local clock's, put right where it is seen to be wrong.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now_at(Moment::now())
    }

    fn now_at(&self, now: Moment) -> Timestamp {
        // However old the measure is: a clock that was far off does not come right by itself, unseen.
        let Some(measure) = self.latest() else { return now.ours };
        let theirs = measure.theirs(now);
        if now.ours.duration_since(theirs).unsigned_abs() <= PRECISION.unsigned_abs().max(measure.within) {
            return now.ours;
        }
        // Rather late than early: no slot is served before it has begun.
        theirs.checked_sub(measure.within).unwrap_or(Timestamp::MIN)
    }

    /// Asks the API server for its time, if no answer has told it lately. Trouble with that is no error: it shows in
    /// [`skew`](Self::skew).
    pub async fn refresh(&self, client: &Client) {
        if !self.is_due(Moment::now()) {
            return;
        }
        match tokio::time::timeout(CALL_DEADLINE, client.apiserver_version()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(error = sentence(&error), "cannot ask the API server's time"),
            Err(_) => tracing::debug!("cannot ask the API server's time: no answer"),
        }
    }

    fn is_due(&self, now: Moment) -> bool {
        self.latest().filter(Measure::is_quick).is_none_or(|measure| {
            now.at.saturating_duration_since(measure.at) > FRESH || measure.is_broken(now)
        })
    }

    fn note(&self, sent: Instant, answered: Moment, headers: &HeaderMap) {
        let date = headers.get(DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| DateTimeParser::new().parse_timestamp(date).ok());
        let Some(measure) = date.and_then(|date| Measure::of(sent, answered, date)) else { return };
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let better = latest.filter(|known| known.is_quick() && !known.is_broken(answered));
        if measure.is_quick() || better.is_none() {
            *latest = Some(measure);
        }
    }

    fn latest(&self) -> Option<Measure> {
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Layer<S> for ServerClock {
    type Service = Dated<S>;

    fn layer(&self, inner: S) -> Dated<S> {
        Dated { inner, clock: self.clone() }
    }
}

/// Passes requests on and notes when they were answered, by both clocks.
#[derive(Debug, Clone)]
pub struct Dated<S> {
    inner: S,
    clock: ServerClock,
}

impl<S, A, B> Service<Request<A>> for Dated<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: 'static,
    B: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let (clock, sent) = (self.clock.clone(), Instant::now());
        let answer = self.inner.call(request);
        answer.inspect_ok(move |answer| clock.note(sent, Moment::now(), answer.headers())).boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use jiff::fmt::rfc2822::DateTimePrinter;
    use tower::ServiceExt as _;
    use tower::service_fn;

    use super::*;

    /// The clock after an answer that was dated `ahead` of the real time.
    async fn after_an_answer(ahead: SignedDuration) -> ServerClock {
        let clock = ServerClock::default();
        let server = service_fn(move |_: Request<()>| async move {
            let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&(Timestamp::now() + ahead));
            Ok::<_, Infallible>(Response::builder().header(DATE, date.expect("a date")).body(()))
        });
        let service = clock.layer(server.map_response(|answer| answer.expect("an answer")));
        service.oneshot(Request::new(())).await.expect("it always answers");
        clock
    }

    fn within(a: SignedDuration, b: SignedDuration) -> bool {
        (a - b).unsigned_abs() < Duration::from_secs(3)
    }

    #[tokio::test]
    async fn every_answer_says_the_servers_time() {
        for days in [-15, 15] {
            let ahead = SignedDuration::from_hours(24 * days);
            let clock = after_an_answer(ahead).await;
            let skew = clock.skew().expect("it was measured");
            assert!(within(skew, -ahead), "{skew}");
            assert!(within(clock.now().duration_since(Timestamp::now()), ahead));
        }
    }

    #[tokio::test]
    async fn what_a_measure_cannot_tell_is_no_skew() {
        let clock = after_an_answer(SignedDuration::from_secs(3)).await;
        let (before, now) = (Timestamp::now(), clock.now());
        assert!(before <= now && now <= Timestamp::now(), "the local clock's own time");
    }

    fn measured(date: Timestamp, round_trip: Duration) -> (ServerClock, Moment) {
        let clock = ServerClock::default();
        let sent = Instant::now();
        let answered = Moment { at: sent + round_trip, ours: Timestamp::UNIX_EPOCH };
        measure(&clock, sent, answered, date);
        (clock, answered)
    }

    fn measure(clock: &ServerClock, sent: Instant, answered: Moment, date: Timestamp) {
        let mut headers = HeaderMap::new();
        let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&date).expect("a date");
        headers.insert(DATE, date.parse().expect("a header"));
        clock.note(sent, answered, &headers);
    }

    fn later(moment: Moment, by: Duration) -> Moment {
        Moment { at: moment.at + by, ours: moment.ours + by }
    }

    #[test]
    fn nothing_is_known_before_the_first_quick_answer() {
        let clock = ServerClock::default();
        assert_eq!((clock.skew(), clock.is_due(Moment::now())), (None, true));
        let before = Timestamp::now();
        assert!(clock.now() >= before, "the local clock is all there is");

        let (clock, answered) = measured(Timestamp::UNIX_EPOCH, Duration::from_millis(5_001));
        assert_eq!(clock.skew_at(answered), None, "it took too long");
        assert_eq!(clock.now_at(answered), answered.ours, "which may be right");
        let (clock, answered) = measured(Timestamp::UNIX_EPOCH, Duration::from_secs(5));
        assert_eq!(clock.skew_at(answered), Some(SignedDuration::from_secs(-3)), "halfway");
    }

    #[test]
    fn a_clock_that_is_far_off_is_put_right_by_a_slow_answer_too() {
        let day = SignedDuration::from_hours(24);
        for date in [Timestamp::UNIX_EPOCH - day, Timestamp::UNIX_EPOCH + day] {
            let (clock, answered) = measured(date, Duration::from_secs(39));
            assert!(clock.is_due(answered));
            assert_eq!(clock.now_at(answered), date, "as early as it may be");
        }
    }

    #[test]
    fn a_quick_answer_outweighs_slow_ones_until_the_machine_has_slept() {
        let (clock, answered) = measured(Timestamp::UNIX_EPOCH, Duration::ZERO);
        let slow = Duration::from_secs(39);
        let awake = later(answered, slow);
        measure(&clock, answered.at, awake, awake.ours);
        assert!(clock.skew_at(awake).is_some(), "by the quick one");
        // Its monotonic clock stood still meanwhile: a day more has passed than it says.
        let day = SignedDuration::from_hours(24);
        let slept = Moment { ours: awake.ours + day, ..later(awake, slow) };
        measure(&clock, awake.at, slept, slept.ours);
        assert!(clock.is_due(slept));
        assert_eq!(clock.now_at(slept), slept.ours, "and not of the day before");
    }

    #[test]
    fn a_clock_that_is_set_between_two_answers_is_noticed_at_once() {
        let (clock, answered) = measured(Timestamp::UNIX_EPOCH, Duration::ZERO);
        let day = SignedDuration::from_hours(24);
        let minute = Duration::from_mins(1);
        let set = Moment { ours: answered.ours + day, ..later(answered, minute) };
        assert!(!clock.is_due(later(answered, minute)) && clock.is_due(set));
        assert!(within(clock.skew_at(set).expect("measured"), day - SignedDuration::from_mins(1)));
        assert!(within(clock.now_at(set).duration_since(answered.ours), SignedDuration::from_mins(1)));
    }

    #[test]
    fn a_measure_grows_old() {
        let (clock, answered) = measured(Timestamp::UNIX_EPOCH, Duration::ZERO);
        assert!(!clock.is_due(later(answered, FRESH)));
        assert!(clock.is_due(later(answered, FRESH + Duration::from_secs(1))));
        assert!(clock.skew_at(later(answered, LONGEST_USE)).is_some());
        assert_eq!(clock.skew_at(later(answered, LONGEST_USE + Duration::from_secs(1))), None);
    }

    #[test]
    fn what_is_no_date_is_passed_over() {
        let clock = ServerClock::default();
        let mut headers = HeaderMap::new();
        headers.insert(DATE, "soon".parse().expect("a header"));
        clock.note(Instant::now(), Moment::now(), &headers);
        assert_eq!(clock.skew(), None);
    }
}
