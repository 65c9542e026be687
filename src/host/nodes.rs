//! Is the device node of a disk there, and is it this disk's? The kernel shows
//! a disk before udev has finished with it.

use std::path::Path;
use std::time::Duration;

use rustix::fs::{FileType, makedev, stat};

use super::command;
use super::disks::EbsDisk;
use super::error::HostError;

/// The loop looks again anyway; this only saves it a turn.
const SETTLE: &str = "--timeout=5";
const LIMIT: Duration = Duration::from_secs(8);

/// Waits for udev where the node is not there yet, and refuses what is not.
pub(super) async fn ready(disk: &EbsDisk) -> Result<(), HostError> {
    if is_there(disk) {
        return Ok(());
    }
    settle(&disk.path).await;
    if is_there(disk) {
        return Ok(());
    }
    Err(HostError::Refused(format!(
        "{} is not the device node of {} ({}) yet",
        disk.path.display(),
        disk.volume,
        disk.number
    )))
}

/// A system without udev has its nodes from the kernel, or never.
async fn settle(path: &Path) {
    let until = format!("--exit-if-exists={}", path.display());
    let argv = ["udevadm", "settle", SETTLE, &until];
    if let Err(error) = command::run_ok(&argv, LIMIT).await {
        tracing::debug!(%error, "udev did not settle");
    }
}

/// A node that is left over from another disk must not pass for this one.
fn is_there(disk: &EbsDisk) -> bool {
    let number = disk.number.split_once(':').and_then(|(major, minor)| {
        let (major, minor) = (major.parse().ok()?, minor.parse().ok()?);
        Some(makedev(major, minor))
    });
    stat(&disk.path).is_ok_and(|found| {
        FileType::from_raw_mode(found.st_mode) == FileType::BlockDevice
            && Some(found.st_rdev) == number
    })
}
