//! How are the machine's own tools called? Each to its end, by argv, with one
//! sentence when it says no.

use std::io;
use std::process::{Command, Stdio};

use super::LiveError;

/// Runs it to its end and returns what it printed.
pub(super) fn run(argv: &[&str]) -> Result<String, LiveError> {
    let failed = |why: String| LiveError::Stage {
        what: format!("`{}`", argv.join(" ")),
        why,
    };
    let Some((program, arguments)) = argv.split_first() else {
        return Err(failed("there is no program to run".to_owned()));
    };
    let ended = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(format!("could not be started: {error}")))?;
    if ended.status.success() {
        return Ok(String::from_utf8_lossy(&ended.stdout).trim().to_owned());
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    let last = said.trim().lines().next_back().unwrap_or_default();
    Err(failed(format!("{}: {last}", ended.status)))
}

/// What the system said no to.
pub(super) fn failed(what: impl Into<String>) -> impl FnOnce(io::Error) -> LiveError {
    let what = what.into();
    move |error| LiveError::Stage {
        what,
        why: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::run;

    #[test]
    fn what_a_tool_says_last_is_in_the_sentence() {
        assert_eq!(run(&["echo", "x"]).unwrap(), "x");
        let error = run(&["sh", "-c", "echo first >&2; echo why >&2; exit 3"]).unwrap_err();
        assert!(
            error.to_string().ends_with("exit status: 3: why"),
            "{error}"
        );
        let error = run(&["rehome-no-such-program"]).unwrap_err();
        assert!(
            error.to_string().contains("could not be started"),
            "{error}"
        );
    }
}
