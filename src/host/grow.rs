//! How does a file system come to fill a disk that has become larger?

use std::path::Path;
use std::time::Duration;

use super::command;
use super::disks::EbsDisk;
use super::probe;
use crate::spec::Filesystem;

const LIMIT: Duration = Duration::from_secs(120);
/// Less than this is rounding, not a larger volume.
const WORTH_GROWING: u64 = 64 << 20;

/// How large the file system is, where that is less than its disk. Read before
/// the mount: a mounted XFS writes its superblock when it likes.
pub(super) fn falls_short(disk: &EbsDisk, filesystem: Filesystem) -> Option<u64> {
    match probe::spans(&disk.path, filesystem) {
        Ok(spans) => spans.filter(|bytes| disk.bytes >= bytes.saturating_add(WORTH_GROWING)),
        Err(error) => {
            tracing::warn!(disk = %disk.path.display(), %error, "could not read how large the file system is");
            None
        }
    }
}

/// Grows a mounted file system. A volume that serves but is small is better
/// than none: what fails here is said, and no error.
pub(super) async fn fill(disk: &EbsDisk, point: &Path, filesystem: Filesystem, from: u64) {
    let (device, point) = (disk.path.to_string_lossy(), point.to_string_lossy());
    let argv = match filesystem {
        // Both grow what is mounted, and take the whole of what is there.
        Filesystem::Ext4 => ["resize2fs", &device],
        Filesystem::Xfs => ["xfs_growfs", &point],
    };
    match command::run_ok(&argv, LIMIT).await {
        Ok(_) => {
            tracing::info!(volume = %disk.volume, from, to = disk.bytes, "grew the file system");
        }
        Err(error) => {
            tracing::warn!(volume = %disk.volume, %error, "the disk is larger than its file system, which could not be grown");
        }
    }
}
