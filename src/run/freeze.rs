//! `rehome freeze-guard` and `rehome thaw`: the two ends of a freeze that must
//! come about whatever becomes of the process that wanted it.

use std::time::Duration;

use super::{Failure, configuration};
use crate::cli::{Configuration, FreezeGuard};
use crate::host::linux::LinuxHost;
use crate::host::{self, Host as _, HostError};

/// Exit code 3 says that its time was over first.
pub(super) async fn hold(options: &FreezeGuard) -> Result<(), Failure> {
    let longest = Duration::from_secs(options.seconds);
    match host::hold(&options.points, longest).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::OutOfTime(format!(
            "thawed after {} s, before it was asked to",
            options.seconds
        ))),
        Err(error) => Err(failed(&error)),
    }
}

/// Every group is tried, whatever becomes of the one before.
pub(super) async fn thaw(options: &Configuration) -> Result<(), Failure> {
    let config = configuration(options.config.as_deref())?;
    let host = LinuxHost::new();
    let mut ended = Ok(());
    for group in &config.groups {
        if let Err(error) = host.recover(group).await {
            ended = Err(failed(&error));
        }
    }
    ended
}

fn failed(error: &HostError) -> Failure {
    Failure::Failed(error.to_string())
}
