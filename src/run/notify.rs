//! What does the service manager hear? That the daemon is ready, alive and
//! what its groups are at; nothing where there is no service manager.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram as Datagram};
use std::time::Duration;

use tokio::net::UnixDatagram;

use crate::ids::GroupName;
use crate::reconcile::Told;

/// A manager that does not listen for so long will not hear us at all.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Manager {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
    groups: RefCell<BTreeMap<GroupName, State>>,
    /// What is wrong with the daemon itself.
    notes: RefCell<BTreeSet<&'static str>>,
}

/// What a group was last said to be at.
#[derive(Debug, PartialEq, Eq)]
struct State {
    says: String,
    /// Has it been settled, and waited for nothing since?
    settled: bool,
}

const SETTLED: &str = "settled";

impl Manager {
    /// As the environment says; nobody is told anything where it says nothing.
    pub(super) fn from_env() -> Self {
        let socket = std::env::var_os("NOTIFY_SOCKET").and_then(|name| {
            let reached = reach(&name);
            let lost =
                |error: &io::Error| tracing::warn!(%error, "the service manager cannot be reached");
            reached.inspect_err(lost).ok()
        });
        let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
        Self {
            socket,
            watchdog: watchdog(number("WATCHDOG_USEC"), number("WATCHDOG_PID")),
            groups: RefCell::default(),
            notes: RefCell::default(),
        }
    }

    /// Said surely: without it the manager gives the daemon up.
    pub(super) async fn ready(&self) {
        self.tell_surely("READY=1").await;
    }

    /// The configuration is being read anew; `ready` ends it.
    pub(super) async fn reloading(&self) {
        self.tell_surely("RELOADING=1").await;
    }

    async fn tell_surely(&self, state: &str) {
        let Some(socket) = &self.socket else { return };
        match tokio::time::timeout(PATIENCE, socket.send(state.as_bytes())).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the service manager did not hear"),
            Err(_) => tracing::warn!("the service manager does not listen"),
        }
    }

    pub(super) fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    pub(super) fn alive(&self) {
        self.tell("WATCHDOG=1");
    }

    /// How often a sign of life is due, if anyone watches for one.
    pub(super) fn watches_every(&self) -> Option<Duration> {
        self.watchdog.map(|limit| limit / 3)
    }

    /// The groups that are served from now on.
    pub(super) fn serves(&self, names: impl Iterator<Item = GroupName>) {
        let starts = || State {
            says: "starts".to_owned(),
            settled: false,
        };
        *self.groups.borrow_mut() = names.map(|name| (name, starts())).collect();
        self.say();
    }

    pub(super) fn hears(&self, group: &GroupName, told: &Told<'_>) {
        let now = match told {
            Told::Doing(step) => Some(format!("{step}")),
            Told::Failed(step, _) => Some(format!("{step} (failed, trying again)")),
            Told::Waiting(wait) => Some(format!("{wait}")),
            Told::Settled => Some(SETTLED.to_owned()),
            Told::Did(_) | Told::Overtaken(..) => None,
        };
        let mut groups = self.groups.borrow_mut();
        let Some(state) = groups.get_mut(group) else {
            return;
        };
        match told {
            Told::Waiting(_) => state.settled = false,
            Told::Settled => state.settled = true,
            _ => {}
        }
        match now {
            Some(says) => state.says = says,
            // What a settled group does is upkeep, and it is done.
            None if state.settled => SETTLED.clone_into(&mut state.says),
            None => return,
        }
        drop(groups);
        self.say();
    }

    /// Seen from afar: nobody has anything to do there. Whether that is news.
    pub(super) fn is_settled(&self, group: &GroupName) -> bool {
        self.is_at(group, SETTLED, true)
    }

    /// It was settled; how it is now, AWS does not tell. Whether that is news.
    pub(super) fn cannot_see(&self, group: &GroupName) -> bool {
        self.is_at(group, "cannot be seen", false)
    }

    fn is_at(&self, group: &GroupName, says: &str, settled: bool) -> bool {
        let mut groups = self.groups.borrow_mut();
        let Some(state) = groups.get_mut(group) else {
            return false;
        };
        if state.says == says {
            return false;
        }
        *state = State {
            says: says.to_owned(),
            settled,
        };
        drop(groups);
        self.say();
        true
    }

    /// Something is wrong with the daemon itself, until it is retracted.
    pub(super) fn note(&self, what: &'static str) {
        self.notes.borrow_mut().insert(what);
        self.say();
    }

    pub(super) fn retract(&self, what: &'static str) {
        if self.notes.borrow_mut().remove(what) {
            self.say();
        }
    }

    fn say(&self) {
        let mut line = line(&self.groups.borrow());
        for note in self.notes.borrow().iter() {
            line.push_str("; ");
            line.push_str(note);
        }
        self.tell(&format!("STATUS={line}"));
    }

    /// A manager that is busy misses a status: moving belongings comes first,
    /// and the next status says more.
    fn tell(&self, state: &str) {
        if let Some(socket) = &self.socket
            && let Err(error) = socket.try_send(state.as_bytes())
        {
            tracing::debug!(%error, state, "the service manager did not hear");
        }
    }
}

/// A path, or a name after `@`.
fn reach(name: &OsStr) -> io::Result<UnixDatagram> {
    let address = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(name)?,
    };
    let socket = Datagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_nonblocking(true)?;
    UnixDatagram::from_std(socket)
}

/// Only if it is this process that is watched.
fn watchdog(micros: Option<u64>, process: Option<u64>) -> Option<Duration> {
    let ours = process.is_none_or(|process| process == u64::from(std::process::id()));
    micros
        .filter(|micros| ours && *micros > 0)
        .map(Duration::from_micros)
}

/// One line for all; with many groups, those that are not settled.
fn line(groups: &BTreeMap<GroupName, State>) -> String {
    const MOST_NAMED: usize = 5;
    let busy: Vec<_> = groups
        .iter()
        .filter(|(_, state)| state.says != SETTLED)
        .collect();
    if busy.is_empty() {
        return format!("{} group(s) settled", groups.len());
    }
    let named = busy
        .iter()
        .take(MOST_NAMED)
        .map(|(name, state)| format!("{name}: {}", state.says));
    let mut line = named.collect::<Vec<_>>().join("; ");
    if busy.len() > MOST_NAMED {
        line.push_str(&format!("; and {} more", busy.len() - MOST_NAMED));
    }
    // A newline would end the status and begin another assignment.
    line.replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_says_what_is_under_way() {
        let groups = |states: &[(&str, &str)]| {
            let states = states.iter();
            let state = |says: &str| State {
                says: says.to_owned(),
                settled: false,
            };
            states
                .map(|(name, says)| (GroupName::from(*name), state(says)))
                .collect()
        };
        assert_eq!(
            line(&groups(&[("a", "settled"), ("b", "settled")])),
            "2 group(s) settled"
        );
        assert_eq!(
            line(&groups(&[("a", "settled"), ("b", "waits\nfor it")])),
            "b: waits for it"
        );
        let many: Vec<String> = (0..7).map(|n| format!("g{n}")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "starts")).collect();
        assert!(line(&groups(&many)).ends_with("g4: starts; and 2 more"));
    }

    #[test]
    fn a_watchdog_of_another_process_is_none_of_ours() {
        let own = u64::from(std::process::id());
        let second = Some(Duration::from_secs(1));
        assert_eq!(watchdog(Some(1_000_000), None), second);
        assert_eq!(watchdog(Some(1_000_000), Some(own)), second);
        assert_eq!(watchdog(Some(1_000_000), Some(own + 1)), None);
        assert_eq!(watchdog(Some(0), None), None);
        assert_eq!(watchdog(None, None), None);
    }

    #[tokio::test]
    async fn a_manager_that_does_not_listen_stops_nobody() {
        let path = std::env::temp_dir().join(format!("rehome-notify-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listens = Datagram::bind(&path).unwrap();
        let manager = Manager {
            socket: Some(reach(path.as_os_str()).unwrap()),
            watchdog: None,
            groups: RefCell::default(),
            notes: RefCell::default(),
        };
        manager.ready().await;
        for _ in 0..10_000 {
            manager.alive();
        }
        let mut heard = [0; 64];
        let length = listens.recv(&mut heard).unwrap();
        assert_eq!(&heard[..length], b"READY=1");
        let length = listens.recv(&mut heard).unwrap();
        assert_eq!(&heard[..length], b"WATCHDOG=1");
        std::fs::remove_file(path).unwrap();
    }
}
