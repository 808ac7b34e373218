//! Reading first errors beside the passes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kube::Client;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::Unread;
use super::download::Downloads;
use super::file::ErrorFile;
use super::store::fetch;
use crate::act::Failure;
use crate::leader::Leadership;

/// So many backups are asked about; who has more that fail has other worries.
const MOST: usize = 100;
/// After a failure, so long until it is tried again, and twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_mins(1);
const LONGEST_PAUSE: Duration = Duration::from_hours(1);
/// So long one backup may take; each step has a limit of its own, but for calls that get no answer.
const READ_WITHIN: Duration = Duration::from_mins(2);

/// A backup whose first error is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Its name, which no other backup ever has.
    pub(super) backup: String,
    /// Some of its asynchronous operations failed.
    pub(super) operations_failed: bool,
    /// The authorities of the store that it is in, in PEM.
    pub(super) certificates: Option<Vec<u8>>,
}

/// What is known of a backup's first error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// It.
    FirstError(String),
    /// There is none in the lists.
    Nothing,
    /// Why it could not be read.
    Unreadable(String),
}

struct Known {
    said: Said,
    failures: u32,
    again: Option<Instant>,
}

type Answers = Arc<Mutex<BTreeMap<String, Known>>>;

/// Reads, in a task of its own, the first errors of the backups that are wanted. All that it knows may be lost: it is
/// read again. It ends when it is dropped.
pub struct FirstErrors {
    wanted: watch::Sender<Vec<Wanted>>,
    answers: Answers,
    task: JoinHandle<()>,
}

impl Drop for FirstErrors {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FirstErrors {
    /// Starts the task. It asks the Velero in that namespace, while this process leads, and notifies `news` of answers.
    #[must_use]
    pub fn start(client: Client, leadership: Leadership, namespace: &str, news: Arc<Notify>) -> Self {
        let downloads = Downloads::new(client, leadership, namespace);
        let (wanted, wishes) = watch::channel(Vec::new());
        let answers = Answers::default();
        let task = tokio::spawn(read(downloads, wishes, Arc::clone(&answers), news));
        Self { wanted, answers, task }
    }

    /// Says which backups it is about now: in that order they are read, and the rest is forgotten.
    pub(super) fn want(&self, mut wanted: Vec<Wanted>) {
        wanted.truncate(MOST);
        self.wanted.send_if_modified(|before| {
            let is_news = *before != wanted;
            *before = wanted;
            is_news
        });
    }

    /// What is known of a backup; `None` while it has not been tried.
    pub(super) fn said(&self, backup: &str) -> Option<Said> {
        lock(&self.answers).get(backup).map(|known| known.said.clone())
    }
}

fn lock(answers: &Answers) -> std::sync::MutexGuard<'_, BTreeMap<String, Known>> {
    answers.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn read(
    downloads: Downloads,
    mut wishes: watch::Receiver<Vec<Wanted>>,
    answers: Answers,
    news: Arc<Notify>,
) {
    loop {
        let wanted = wishes.borrow_and_update().clone();
        lock(&answers).retain(|backup, _| wanted.iter().any(|wanted| wanted.backup == *backup));
        let next = next(&wanted, &lock(&answers), Instant::now());
        match next {
            Next::Read(wanted) => {
                let read = tokio::time::timeout(READ_WITHIN, first_error(&downloads, &wanted)).await;
                let read = read.unwrap_or(Err(Unread::NotAsked(Failure::NoAnswer)));
                note(&mut lock(&answers), wanted.backup, read);
                news.notify_one();
            }
            Next::Wait(until) => {
                let again = async {
                    match until {
                        Some(until) => tokio::time::sleep_until(until).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    biased;
                    changed = wishes.changed() => if changed.is_err() { return },
                    () = again => {}
                }
            }
        }
    }
}

enum Next {
    Read(Wanted),
    Wait(Option<Instant>),
}

fn next(wanted: &[Wanted], answers: &BTreeMap<String, Known>, now: Instant) -> Next {
    let is_due = |wanted: &&Wanted| {
        answers.get(&wanted.backup).is_none_or(|known| known.again.is_some_and(|again| again <= now))
    };
    match wanted.iter().find(is_due) {
        Some(wanted) => Next::Read(wanted.clone()),
        None => Next::Wait(answers.values().filter_map(|known| known.again).min()),
    }
}

fn note(answers: &mut BTreeMap<String, Known>, backup: String, read: Result<Option<String>, Unread>) {
    let known = match read {
        Ok(first) => Known { said: first.map_or(Said::Nothing, Said::FirstError), failures: 0, again: None },
        Err(unread) => {
            tracing::warn!(backup, %unread, "the errors of a backup could not be read");
            let failures = answers.get(&backup).map_or(0, |known| known.failures);
            let pause = FIRST_PAUSE.saturating_mul(1 << failures.min(10)).min(LONGEST_PAUSE);
            Known {
                said: Said::Unreadable(unread.to_string()),
                failures: failures + 1,
                again: Some(Instant::now() + pause),
            }
        }
    };
    answers.insert(backup, known);
}

async fn first_error(downloads: &Downloads, wanted: &Wanted) -> Result<Option<String>, Unread> {
    let files = [Some(ErrorFile::Results), wanted.operations_failed.then_some(ErrorFile::Operations)];
    for file in files.into_iter().flatten() {
        let url = downloads.url(file, &wanted.backup).await?;
        let packed = fetch(&url, wanted.certificates.as_deref()).await?;
        if let Some(first) = file.first_error(&packed)? {
            return Ok(Some(first));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(backup: &str) -> Wanted {
        Wanted { backup: backup.to_owned(), operations_failed: false, certificates: None }
    }

    fn read_next(wanted: &[Wanted], answers: &BTreeMap<String, Known>) -> Option<String> {
        match next(wanted, answers, Instant::now()) {
            Next::Read(wanted) => Some(wanted.backup),
            Next::Wait(_) => None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_is_read_once_and_what_failed_again_after_growing_pauses() {
        let all = [wanted("a"), wanted("b")];
        let mut answers = BTreeMap::new();
        assert_eq!(read_next(&all, &answers).as_deref(), Some("a"));
        note(&mut answers, "a".into(), Ok(Some("no space".into())));
        assert_eq!(read_next(&all, &answers).as_deref(), Some("b"));
        let mut pauses = Vec::new();
        for _ in 0..8 {
            note(&mut answers, "b".into(), Err(Unread::NoUrl));
            assert_eq!(read_next(&all, &answers), None);
            let Next::Wait(Some(until)) = next(&all, &answers, Instant::now()) else { panic!("it waits") };
            pauses.push((until - Instant::now()).as_secs() / 60);
            tokio::time::sleep_until(until).await;
            assert_eq!(read_next(&all, &answers).as_deref(), Some("b"));
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        note(&mut answers, "b".into(), Ok(None));
        assert!(matches!(next(&all, &answers, Instant::now()), Next::Wait(None)));
        assert_eq!(answers["b"].said, Said::Nothing);
    }
}
