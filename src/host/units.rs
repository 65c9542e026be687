//! How is the workload, and how is it started and stopped? systemd units, and
//! a command that says whether they are well.

use std::time::Duration;

use super::command;
use super::error::HostError;
use crate::spec::WorkloadSpec;
use crate::world::Workload;

const ASK: Duration = Duration::from_secs(10);
const HEALTH: Duration = Duration::from_secs(10);
/// `systemctl start` waits for the unit's own start-up; the unit goes on
/// starting when we no longer wait.
const START: Duration = Duration::from_secs(120);

pub(super) async fn look(workload: &WorkloadSpec) -> Result<Workload, HostError> {
    if workload.units.is_empty() && workload.health.is_empty() {
        return Ok(Workload::None);
    }
    let states = states(&workload.units).await?;
    if states.iter().any(|state| *state != State::Running) {
        return Ok(Workload::Stopped);
    }
    if workload.health.is_empty() {
        return Ok(Workload::Healthy);
    }
    let argv: Vec<&str> = workload.health.iter().map(String::as_str).collect();
    Ok(match command::run(&argv, HEALTH).await {
        Ok(ended) if ended.is_ok() => Workload::Healthy,
        Ok(ended) => Workload::Unhealthy(format!("`{}` {}", argv.join(" "), ended.says())),
        Err(error) => Workload::Unhealthy(error.to_string()),
    })
}

/// In the order of the configuration.
pub(super) async fn start(workload: &WorkloadSpec) -> Result<(), HostError> {
    for unit in &workload.units {
        command::run_ok(&["systemctl", "start", unit], START).await?;
    }
    Ok(())
}

/// In reverse order; returns when nothing of them runs any more.
pub(super) async fn stop(workload: &WorkloadSpec, limit: Duration) -> Result<(), HostError> {
    for unit in workload.units.iter().rev() {
        // A unit that is not installed cannot be stopped, and does not run:
        // its state counts, not what stopping it said.
        let said = match command::run(&["systemctl", "stop", unit], limit).await {
            Ok(ended) => ended.says(),
            // systemd goes on stopping it, by force in the end.
            Err(HostError::TimedOut { seconds, .. }) => {
                format!("did not end within {seconds} seconds")
            }
            Err(error) => return Err(error),
        };
        let states = states(std::slice::from_ref(unit)).await?;
        if states.iter().any(|state| *state != State::Down) {
            return Err(HostError::Command {
                command: format!("systemctl stop {unit}"),
                says: format!("{said}, and the unit still runs"),
            });
        }
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    /// Coming up, going down: its processes may be there.
    Between,
    Down,
}

/// One state for each unit, in the same order; systemd is asked once.
async fn states(units: &[String]) -> Result<Vec<State>, HostError> {
    if units.is_empty() {
        return Ok(Vec::new());
    }
    let mut argv = vec!["systemctl", "is-active"];
    argv.extend(units.iter().map(String::as_str));
    let ended = command::run(&argv, ASK).await?;
    let states: Option<Vec<State>> = ended.stdout.lines().map(read_state).collect();
    states
        .filter(|states| states.len() == units.len())
        .ok_or_else(|| HostError::Command {
            command: argv.join(" "),
            says: ended.says(),
        })
}

/// What `is-active` prints. Silence is no state: systemd itself may be away.
fn read_state(line: &str) -> Option<State> {
    match line.trim() {
        "active" | "reloading" | "refreshing" => Some(State::Running),
        "activating" | "deactivating" | "maintenance" => Some(State::Between),
        "inactive" | "failed" | "unknown" => Some(State::Down),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn health(argv: &[&str]) -> WorkloadSpec {
        WorkloadSpec {
            units: Vec::new(),
            health: argv.iter().map(|word| (*word).to_owned()).collect(),
        }
    }

    #[test]
    fn states_are_read_and_silence_is_none() {
        for (says, state) in [
            ("active\n", Some(State::Running)),
            ("activating\n", Some(State::Between)),
            ("failed\n", Some(State::Down)),
            ("unknown\n", Some(State::Down)),
            ("", None),
            ("Failed to connect to bus", None),
        ] {
            assert_eq!(read_state(says), state, "{says}");
        }
    }

    #[tokio::test]
    async fn without_units_the_health_command_decides() {
        assert_eq!(look(&health(&[])).await.unwrap(), Workload::None);
        assert_eq!(look(&health(&["true"])).await.unwrap(), Workload::Healthy);
        assert_eq!(
            look(&health(&["sh", "-c", "echo no connections; exit 2"]))
                .await
                .unwrap(),
            Workload::Unhealthy(
                "`sh -c echo no connections; exit 2` ended with exit code 2: no connections".into()
            )
        );
        let missing = look(&health(&["rehome-no-such-program"])).await.unwrap();
        assert!(matches!(missing, Workload::Unhealthy(_)));
    }

    #[tokio::test]
    async fn nothing_is_asked_of_systemd_without_units() {
        start(&health(&["true"])).await.unwrap();
        stop(&health(&["true"]), ASK).await.unwrap();
    }
}
