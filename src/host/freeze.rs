//! How are file systems held still for a moment, and never for longer?
//!
//! A frozen file system stays frozen when the process that froze it dies. So a
//! process of its own does it, a guard that has nothing else to do: it thaws
//! when its standard input ends, which it does when whoever asked for the
//! freeze lets go *or dies*, and at a deadline of its own. Should the guard
//! itself be killed, `thaw` is the second line: at the next start, and as
//! `rehome thaw` when systemd has cleared away after a service.

use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::pin::{Pin, pin};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Sleep;

use super::error::HostError;
use super::{command, mounts};

/// Longer than EC2 needs to begin a snapshot, shorter than a client's patience.
const LONGEST: Duration = Duration::from_secs(5);
/// Freezing writes out what is not yet written, and everybody waits for that:
/// as much as possible is written before. Where that takes longer, it is no
/// time to freeze.
const WRITE_OUT: Duration = Duration::from_secs(20);
/// What the guard may need beyond its time to end.
const MARGIN: Duration = Duration::from_secs(5);
/// Thawing is immediate.
const THAW: Duration = Duration::from_secs(4);
const AGAIN: Duration = Duration::from_millis(100);
/// What the guard says when all is still.
const FROZEN: &str = "frozen";

/// File systems that are held still as long as this lives.
#[derive(Debug)]
pub struct Freeze(Option<Guard>);

#[derive(Debug)]
struct Guard {
    child: Child,
    points: Vec<String>,
}

impl Freeze {
    /// Of nothing: where there is nothing to freeze.
    pub fn none() -> Self {
        Self(None)
    }

    pub(super) async fn begin(program: &Path, points: &[&Path]) -> Result<Self, HostError> {
        if points.is_empty() {
            return Ok(Self::none());
        }
        for point in points {
            mounts::write_out(point, WRITE_OUT).await?;
        }
        let points = texts(points);
        let child = Command::new(program)
            .args(["freeze-guard", "--seconds", &LONGEST.as_secs().to_string()])
            .arg("--")
            .args(&points)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| HostError::system("cannot start the guard of a freeze", error))?;
        let mut guard = Guard { child, points };
        match tokio::time::timeout(LONGEST + MARGIN, guard.reports()).await {
            Ok(Ok(())) => Ok(Self(Some(guard))),
            Ok(Err(error)) => {
                guard.end().await?;
                Err(error)
            }
            Err(_) => {
                guard.end().await?;
                Err(timed_out("freezing the file systems"))
            }
        }
    }

    /// Is anything held still at all?
    pub fn is_held(&self) -> bool {
        self.0.is_some()
    }

    /// Lets them write again. False: they did so before, because it took too long.
    pub async fn thaw(self) -> Result<bool, HostError> {
        match self.0 {
            None => Ok(true),
            Some(guard) => guard.end().await,
        }
    }
}

impl Guard {
    async fn reports(&mut self) -> Result<(), HostError> {
        let Some(stdout) = self.child.stdout.as_mut() else {
            return Err(unheard("it has no output"));
        };
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line).await;
        match read {
            Ok(_) if line.trim() == FROZEN => Ok(()),
            Ok(_) => Err(unheard(&self.last_words().await)),
            Err(error) => Err(unheard(&error.to_string())),
        }
    }

    async fn last_words(&mut self) -> String {
        let mut said = String::new();
        if let Some(stderr) = self.child.stderr.as_mut()
            && stderr.take(4096).read_to_string(&mut said).await.is_err()
        {
            said.clear();
        }
        let line = said.trim().lines().next_back().unwrap_or_default();
        line.strip_prefix("rehome: ").unwrap_or(line).to_owned()
    }

    /// Whatever became of the guard, nothing is frozen afterwards.
    async fn end(mut self) -> Result<bool, HostError> {
        drop(self.child.stdin.take());
        let ended = tokio::time::timeout(LONGEST + MARGIN, self.child.wait()).await;
        let code = match ended {
            Ok(Ok(status)) => status.code(),
            _ => None,
        };
        match code {
            Some(0) => Ok(true),
            // Whatever ended it, it thawed what it had frozen.
            Some(_) => Ok(false),
            None => {
                let points: Vec<&Path> = self.points.iter().map(Path::new).collect();
                thaw(&points).await.map(|()| false)
            }
        }
    }
}

fn unheard(why: &str) -> HostError {
    HostError::system("the file systems were not frozen", why)
}

fn timed_out(what: &str) -> HostError {
    HostError::TimedOut {
        what: what.to_owned(),
        seconds: LONGEST.as_secs(),
    }
}

// ---------------------------------------------------------------- the guard

/// Freezes, says so, and thaws when its standard input ends or its time is
/// over; false in the second case. What it cannot freeze it leaves alone, and
/// then nothing stays frozen.
pub async fn hold(points: &[impl AsRef<Path>], longest: Duration) -> Result<bool, HostError> {
    // Only the end of the input, or of the time, ends it: a signal to the whole
    // family must not leave a file system frozen.
    let _deaf = deaf()?;
    let mut input = input()?;
    let mut over = pin!(tokio::time::sleep(longest));
    let mut frozen = Vec::new();
    let held = async {
        for point in points {
            if !freeze_one(point.as_ref(), over.as_mut(), &mut frozen).await? {
                return Ok(false);
            }
        }
        say_frozen()?;
        let mut rest = Vec::new();
        tokio::select! {
            // An input that cannot be read has ended as well.
            _ = input.read_to_end(&mut rest) => Ok(true),
            () = over.as_mut() => Ok(false),
        }
    }
    .await;
    for point in frozen.iter().rev() {
        thaw_one(point).await;
    }
    held
}

/// False: the time is over. Whatever happens, the attempt has ended when this
/// returns: one that is still on its way could go through after the thaw.
async fn freeze_one(
    point: &Path,
    over: Pin<&mut Sleep>,
    frozen: &mut Vec<String>,
) -> Result<bool, HostError> {
    let shown = point.display();
    // Of a folder that is no mount point, its file system would be frozen.
    if !mounts::is_mounted(&mounts::now()?, point) {
        return Err(HostError::Refused(format!("nothing is mounted at {shown}")));
    }
    let failed = |why: String| HostError::Command {
        command: format!("fsfreeze --freeze {shown}"),
        says: why,
    };
    let mut child = Command::new("fsfreeze")
        .arg("--freeze")
        .arg(point)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(format!("could not be started: {error}")))?;
    let text = point.to_string_lossy().into_owned();
    tokio::select! {
        ended = child.wait() => {
            if ended.as_ref().is_ok_and(std::process::ExitStatus::success) {
                frozen.push(text);
                return Ok(true);
            }
        }
        () = over => {
            // Cut short, it may have gone through.
            let _ = child.kill().await;
            frozen.push(text);
            return Ok(false);
        }
    }
    // What somebody else has frozen is theirs to thaw.
    let mut says = String::new();
    if let Some(stderr) = child.stderr.take() {
        let _ = stderr.take(4096).read_to_string(&mut says).await;
    }
    Err(failed(format!("failed: {}", says.trim())))
}

fn deaf() -> Result<Vec<tokio::signal::unix::Signal>, HostError> {
    let kinds = [
        SignalKind::terminate(),
        SignalKind::interrupt(),
        SignalKind::hangup(),
    ];
    kinds
        .into_iter()
        .map(|kind| signal(kind).map_err(|error| HostError::system("cannot hear signals", error)))
        .collect()
}

fn input() -> Result<pipe::Receiver, HostError> {
    let input = io::stdin().as_fd().try_clone_to_owned();
    input
        .and_then(pipe::Receiver::from_owned_fd)
        .map_err(|error| {
            HostError::system("the guard of a freeze needs a pipe to hold on to", error)
        })
}

fn say_frozen() -> Result<(), HostError> {
    let mut out = io::stdout().lock();
    writeln!(out, "{FROZEN}")
        .and_then(|()| out.flush())
        .map_err(|error| HostError::system("nobody waits for the freeze any more", error))
}

// --------------------------------------------------------------- the thawing

/// Lets these write again, frozen or not.
pub(super) async fn thaw(points: &[&Path]) -> Result<(), HostError> {
    for point in texts(points) {
        try_thaw(&point).await?;
    }
    Ok(())
}

/// The guard does not give up: there is nobody behind it.
async fn thaw_one(point: &str) {
    while let Err(error) = try_thaw(point).await {
        tracing::error!(%error, "could not thaw; trying again");
        tokio::time::sleep(AGAIN).await;
    }
}

async fn try_thaw(point: &str) -> Result<(), HostError> {
    let argv = ["fsfreeze", "--unfreeze", point];
    let ended = command::run(&argv, THAW).await?;
    // What is not frozen, or not there any more, need not be thawed.
    let needless = ["Invalid argument", "No such file or directory"];
    if ended.is_ok() || needless.iter().any(|why| ended.stderr.contains(why)) {
        return Ok(());
    }
    Err(HostError::Command {
        command: argv.join(" "),
        says: ended.says(),
    })
}

fn texts(points: &[&Path]) -> Vec<String> {
    let text = |point: &&Path| point.to_string_lossy().into_owned();
    points.iter().map(text).collect()
}
