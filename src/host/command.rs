//! How another program is run: an argv, never a shell line, with bounded time
//! and bounded output.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

use super::error::HostError;

/// More than any of the programs says; the rest is read and dropped.
const MOST_OUTPUT: u64 = 64 * 1024;

/// What a program left behind.
#[derive(Debug)]
pub(super) struct Ended {
    /// None: a signal ended it.
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Ended {
    pub(super) fn is_ok(&self) -> bool {
        self.code == Some(0)
    }

    /// How it ended, in words: the last thing it said, and its exit code.
    pub(super) fn says(&self) -> String {
        let code = match self.code {
            Some(code) => format!("ended with exit code {code}"),
            None => "was ended by a signal".to_owned(),
        };
        let lines = [&self.stderr, &self.stdout].map(|text| {
            let line = text.trim().lines().next_back().unwrap_or_default();
            line.chars().take(300).collect::<String>()
        });
        match lines.into_iter().find(|line| !line.is_empty()) {
            Some(line) => format!("{code}: {line}"),
            None => code,
        }
    }
}

/// Runs it to its end, whatever its exit code; kills it and its children when
/// the time is over.
pub(super) async fn run(argv: &[&str], limit: Duration) -> Result<Ended, HostError> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(HostError::Refused("there is no command to run".to_owned()));
    };
    let failed = |says: String| HostError::Command {
        command: argv.join(" "),
        says,
    };
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir("/")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(format!("could not be started: {error}")))?;
    let group = child.id();
    let ended = tokio::time::timeout(limit, finish(&mut child)).await;
    match ended {
        Ok(Ok(ended)) => Ok(ended),
        Ok(Err(error)) => Err(failed(format!("was lost: {error}"))),
        Err(_) => {
            kill(group);
            Err(HostError::TimedOut {
                what: argv.join(" "),
                seconds: limit.as_secs(),
            })
        }
    }
}

/// The same, and every exit code but 0 is an error.
pub(super) async fn run_ok(argv: &[&str], limit: Duration) -> Result<Ended, HostError> {
    let ended = run(argv, limit).await?;
    if ended.is_ok() {
        return Ok(ended);
    }
    Err(HostError::Command {
        command: argv.join(" "),
        says: ended.says(),
    })
}

async fn finish(child: &mut Child) -> std::io::Result<Ended> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (status, stdout, stderr) = tokio::join!(child.wait(), read(stdout), read(stderr));
    Ok(Ended {
        code: status?.code(),
        stdout: stdout?,
        stderr: stderr?,
    })
}

async fn read(stream: Option<impl AsyncRead + Unpin>) -> std::io::Result<String> {
    let Some(mut stream) = stream else {
        return Ok(String::new());
    };
    let mut bytes = Vec::new();
    (&mut stream)
        .take(MOST_OUTPUT)
        .read_to_end(&mut bytes)
        .await?;
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The program leads a process group of its own, so its children go with it.
fn kill(group: Option<u32>) {
    let pid = group
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw);
    if let Some(pid) = pid
        && let Err(error) = kill_process_group(pid, Signal::KILL)
    {
        tracing::debug!(%error, "could not kill a command that ran out of time");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn tells_how_a_program_ended() {
        let ended = run(&["sh", "-c", "echo out; echo why >&2; exit 3"], SOON)
            .await
            .unwrap();
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(3), "out\n"));
        assert_eq!(ended.says(), "ended with exit code 3: why");
        let error = run_ok(&["false"], SOON).await.unwrap_err();
        assert_eq!(error.to_string(), "`false` ended with exit code 1");
    }

    #[tokio::test]
    async fn says_that_a_program_is_missing() {
        let error = run(&["rehome-no-such-program", "-x"], SOON)
            .await
            .unwrap_err();
        let says = error.to_string();
        assert!(
            says.starts_with("`rehome-no-such-program -x` could not be started: "),
            "{says}"
        );
    }

    #[tokio::test]
    async fn keeps_a_bounded_part_of_endless_talk() {
        let ended = run(&["head", "-c", "300000", "/dev/zero"], SOON)
            .await
            .unwrap();
        assert!(ended.is_ok());
        assert_eq!(ended.stdout.len() as u64, MOST_OUTPUT);
    }

    #[tokio::test]
    async fn kills_what_does_not_end_with_its_children() {
        let error = run(
            &["sh", "-c", "sleep 60 & sleep 60"],
            Duration::from_millis(50),
        )
        .await
        .unwrap_err();
        assert!(matches!(error, HostError::TimedOut { .. }), "{error}");
    }
}
