//! What was the client promised? It stands outside of every instance, writes
//! one row per commit to the Elastic IP, and keeps every commit that PostgreSQL
//! acknowledged, with its time and by whom.
//!
//! It has a thread of its own: what the drill does to the machines must not
//! disturb its clock.

use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;

use super::postgres::{QueryError, Session};
use crate::clock::Clock;

const PORT: u16 = 5432;
/// Nobody waits longer for an answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two commits: a busy application, and a ledger that can be read.
const PAUSE: Duration = Duration::from_millis(2);
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(50);

/// Makes the ledger, once in its life: one row for each commit, and in another
/// table how many there are.
const CREATE: &str = "\
    CREATE TABLE ledger (n bigint PRIMARY KEY, what text NOT NULL, at timestamptz NOT NULL); \
    CREATE TABLE tally (commits bigint NOT NULL); \
    INSERT INTO tally VALUES (0)";

/// A commit that PostgreSQL said was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Acknowledged {
    pub(super) n: u64,
    pub(super) at: Timestamp,
    /// The instance whose PostgreSQL said so.
    pub(super) by: String,
}

/// What the client knows.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) acknowledged: Vec<Acknowledged>,
    /// Every number up to this one was tried, each once.
    pub(super) tried: u64,
    /// What went wrong last.
    pub(super) trouble: Option<String>,
}

/// The client at work, until it is dropped.
#[derive(Debug)]
pub(super) struct Client {
    address: SocketAddr,
    book: Arc<Mutex<Book>>,
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Client {
    /// Makes the ledger, and begins to write to it.
    pub(super) fn start(ip: IpAddr, clock: Clock) -> Result<Self, QueryError> {
        let address = SocketAddr::new(ip, PORT);
        Session::open(address, PATIENCE)?.query(CREATE)?;
        let book = Arc::new(Mutex::new(Book::default()));
        let (stop, stopped) = mpsc::channel();
        let writer = Writer {
            address,
            clock,
            book: Arc::clone(&book),
            stopped,
        };
        Ok(Self {
            address,
            book,
            stop: Some(stop),
            thread: Some(std::thread::spawn(move || writer.write())),
        })
    }

    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        lock(&self.book)
    }

    pub(super) fn ip(&self) -> IpAddr {
        self.address.ip()
    }

    /// A connection beside that of the writer, with the time to read it all,
    /// and the instance that answers.
    pub(super) fn read(&self, patience: Duration) -> Result<(Session, String), QueryError> {
        connect(self.address, patience)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It notices that nobody can stop it any more.
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Is PostgreSQL there?
pub(super) fn answers(ip: IpAddr) -> bool {
    Session::open(SocketAddr::new(ip, PORT), PATIENCE).is_ok()
}

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Each cluster runs under the name of its instance.
fn connect(address: SocketAddr, patience: Duration) -> Result<(Session, String), QueryError> {
    let mut session = Session::open(address, patience)?;
    let rows = session.query("SHOW cluster_name")?;
    let name = rows.into_iter().flatten().next().unwrap_or_default();
    Ok((session, name))
}

struct Writer {
    address: SocketAddr,
    clock: Clock,
    book: Arc<Mutex<Book>>,
    stopped: mpsc::Receiver<()>,
}

impl Writer {
    fn write(self) {
        let mut connection = None;
        loop {
            let pause = match self.once(&mut connection) {
                Ok(()) => PAUSE,
                Err(error) => {
                    connection = None;
                    lock(&self.book).trouble = Some(error.to_string());
                    PAUSE_AFTER_FAILURE
                }
            };
            if self.stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }

    /// One commit. A number is used once: whether a commit without an answer
    /// was done is not known, and either is right.
    fn once(&self, connection: &mut Option<(Session, String)>) -> Result<(), QueryError> {
        if connection.is_none() {
            *connection = Some(connect(self.address, PATIENCE)?);
        }
        let Some((session, by)) = connection else {
            return Ok(());
        };
        let n = {
            let mut book = lock(&self.book);
            book.tried = book.tried.saturating_add(1);
            book.tried
        };
        // Two tables, one commit: both have it, or neither.
        session.query(&format!(
            "INSERT INTO ledger VALUES ({n}, repeat(md5('{n}'), 4), clock_timestamp()); \
             UPDATE tally SET commits = commits + 1"
        ))?;
        let at = self.clock.now();
        lock(&self.book).acknowledged.push(Acknowledged {
            n,
            at,
            by: by.clone(),
        });
        Ok(())
    }
}
