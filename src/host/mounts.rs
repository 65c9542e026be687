//! How is a volume mounted, and how is it let go so that nothing can write to
//! it any more?

use std::ffi::CStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};

use super::disks::EbsDisk;
use super::error::HostError;
use super::mountinfo::{self, Mount};
use super::{point, users};
use crate::spec::Filesystem;

/// A journal is replayed, or a large cache is written, within this time.
const LIMIT: Duration = Duration::from_secs(300);

/// What sits at a configured mount point.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum At<'a> {
    Nothing,
    /// The whole of this disk.
    Disk(&'a EbsDisk),
    /// A disk that was taken away while it was mounted: there is nothing
    /// behind it that could still be saved.
    Gone,
    Foreign(String),
}

pub(super) fn now() -> Result<Vec<Mount>, HostError> {
    let text = fs::read("/proc/self/mountinfo")
        .map_err(|error| HostError::system("cannot read /proc/self/mountinfo", error))?;
    mountinfo::parse(&text).map_err(HostError::Refused)
}

/// `exists` says whether the kernel still has a block device of that number.
pub(super) fn look<'a>(
    mounts: &[Mount],
    disks: &'a [EbsDisk],
    point: &Path,
    exists: impl Fn(&str) -> bool,
) -> At<'a> {
    let Some(mount) = mountinfo::at(mounts, point) else {
        return At::Nothing;
    };
    let whole = mount.root == Path::new("/");
    match disks.iter().find(|disk| disk.number == mount.device) {
        Some(disk) if whole => At::Disk(disk),
        Some(disk) => At::Foreign(format!(
            "a part ({}) of {}",
            mount.root.display(),
            disk.volume
        )),
        // Block devices have sources below /dev, network and memory have not.
        None if is_a_disk(&mount.source) && !exists(&mount.device) => At::Gone,
        None => At::Foreign(format!("{} ({})", mount.source, mount.filesystem)),
    }
}

pub(super) fn is_mounted(mounts: &[Mount], point: &Path) -> bool {
    mountinfo::at(mounts, point).is_some()
}

fn is_a_disk(source: &str) -> bool {
    ["/dev/nvme", "/dev/xvd", "/dev/sd"]
        .iter()
        .any(|family| source.starts_with(family))
}

pub(super) fn device_exists(number: &str) -> bool {
    Path::new("/sys/dev/block").join(number).exists()
}

/// Mounts a disk whose file system was found to be the right one.
pub(super) async fn mount(
    disk: &EbsDisk,
    point: &Path,
    filesystem: Filesystem,
) -> Result<(), HostError> {
    point::prepare(point)?;
    refuse_if_used(disk, point)?;
    let (source, target) = (disk.path.clone(), point.to_owned());
    let what = format!("cannot mount {} at {}", source.display(), target.display());
    let flags = MountFlags::NOATIME | MountFlags::NODEV | MountFlags::NOSUID;
    let mounted = blocking(&what, LIMIT, move || {
        rustix::mount::mount(&source, &target, filesystem.name(), flags, data(filesystem))
    })
    .await?;
    mounted.map_err(|error| {
        HostError::system(
            what,
            format!(
                "{error}; {}",
                mends(filesystem, &disk.path.to_string_lossy())
            ),
        )
    })
}

/// A file system that finds itself damaged stops writing, whatever was once
/// written into it. (XFS does so by itself.)
fn data(filesystem: Filesystem) -> Option<&'static CStr> {
    match filesystem {
        Filesystem::Ext4 => Some(c"errors=remount-ro"),
        Filesystem::Xfs => None,
    }
}

/// Nothing here repairs: what a repair throws away, a person has to want.
pub(super) fn mends(filesystem: Filesystem, device: &str) -> String {
    let repair = match filesystem {
        Filesystem::Ext4 => "fsck.ext4",
        Filesystem::Xfs => "xfs_repair",
    };
    format!("if the file system is damaged, take a snapshot and run `{repair} {device}`")
}

/// The same disk at two places would be let go at one of them only.
fn refuse_if_used(disk: &EbsDisk, point: &Path) -> Result<(), HostError> {
    match is_free(&disk.path) {
        Ok(true) => Ok(()),
        Ok(false) => Err(HostError::Refused(format!(
            "{} is not mounted at {}, because its disk {} is in use{}",
            disk.volume,
            point.display(),
            disk.path.display(),
            elsewhere(disk)
        ))),
        Err(error) => Err(HostError::system(
            format!("cannot open {}", disk.path.display()),
            error,
        )),
    }
}

/// Nothing on this machine has the disk mounted: only then an exclusive open
/// succeeds.
fn is_free(path: &Path) -> Result<bool, Errno> {
    let flags = OFlags::RDONLY | OFlags::EXCL | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(_) => Ok(true),
        Err(Errno::BUSY) => Ok(false),
        Err(error) => Err(error),
    }
}

fn elsewhere(disk: &EbsDisk) -> String {
    let users = users::of_device(Path::new("/proc"), &disk.number);
    match users.is_empty() {
        true => " elsewhere".to_owned(),
        false => format!(" by the mount namespace of {}", users.join(", ")),
    }
}

/// Writes everything out and unmounts, as often as it takes until the point is
/// free. Afterwards nothing here can write to the disk.
pub(super) async fn release(disk: &EbsDisk, point: &Path) -> Result<(), HostError> {
    loop {
        let mounts = now()?;
        match mountinfo::at(&mounts, point) {
            Some(mount) if mount.device == disk.number => unmount(point, &mounts).await?,
            _ => break,
        }
    }
    match is_free(&disk.path) {
        Ok(false) => Err(HostError::Busy {
            mount: disk.path.display().to_string(),
            by: format!("something{}", elsewhere(disk)),
        }),
        // A disk that is gone is as free as it can be.
        Ok(true) | Err(_) => Ok(()),
    }
}

/// Clears a mount whose disk was taken away.
pub(super) async fn clear(point: &Path) -> Result<(), HostError> {
    unmount(point, &now()?).await
}

async fn unmount(point: &Path, mounts: &[Mount]) -> Result<(), HostError> {
    let what = format!("cannot unmount {}", point.display());
    let target = point.to_owned();
    let unmounted = blocking(&what, LIMIT, move || {
        sync(&target);
        rustix::mount::unmount(&target, UnmountFlags::NOFOLLOW)
    })
    .await?;
    match unmounted {
        Ok(()) => Ok(()),
        // Somebody else was faster.
        Err(Errno::INVAL | Errno::NOENT) => Ok(()),
        Err(Errno::BUSY) => Err(busy(point, mounts).await),
        Err(error) => Err(HostError::system(what, error)),
    }
}

/// Writes out what the file system mounted here still has to write.
pub(super) async fn write_out(point: &Path, limit: Duration) -> Result<(), HostError> {
    let what = format!("writing out {}", point.display());
    let point = point.to_owned();
    blocking(&what, limit, move || sync(&point)).await
}

/// Unmounting writes everything out as well; doing it first keeps the time in
/// which nobody can use the mount short. What fails here fails there again.
fn sync(point: &Path) {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let synced = rustix::fs::open(point, flags, Mode::empty()).and_then(rustix::fs::syncfs);
    if let Err(error) = synced {
        tracing::warn!(mount = %point.display(), %error, "could not sync before unmounting");
    }
}

async fn busy(point: &Path, mounts: &[Mount]) -> HostError {
    let inside = mounts.iter().map(|mount| &mount.point);
    let inside = inside.filter(|other| *other != point && other.starts_with(point));
    let mut by: Vec<String> = inside
        .map(|other| format!("the mount {}", other.display()))
        .collect();
    let target: PathBuf = point.to_owned();
    let search = move || users::of_mount(Path::new("/proc"), &target);
    by.extend(
        blocking("search /proc", LIMIT, search)
            .await
            .unwrap_or_default(),
    );
    if by.is_empty() {
        by.push("the kernel itself (swap, a loop device, an NFS export)".to_owned());
    }
    HostError::Busy {
        mount: point.display().to_string(),
        by: by.join(", "),
    }
}

/// System calls that wait for a disk must not keep the heartbeats waiting.
#[allow(
    clippy::disallowed_methods,
    reason = "the real machine has a real clock; no drill comes here"
)]
async fn blocking<T: Send + 'static>(
    what: &str,
    limit: Duration,
    call: impl FnOnce() -> T + Send + 'static,
) -> Result<T, HostError> {
    let task = tokio::task::spawn_blocking(call);
    match tokio::time::timeout(limit, task).await {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(error)) => Err(HostError::system(what, error)),
        Err(_) => Err(HostError::TimedOut {
            what: what.to_owned(),
            seconds: limit.as_secs(),
        }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::host::disks::Layout;

    fn disk() -> EbsDisk {
        EbsDisk {
            volume: "vol-0a".into(),
            path: "/dev/nvme1n1".into(),
            number: "259:4".into(),
            bytes: 1 << 30,
            layout: Layout::Whole,
        }
    }

    #[test]
    fn what_sits_at_a_mount_point_is_told_apart() {
        let text = b"\
90 28 259:4 / /srv/db rw - ext4 /dev/nvme1n1 rw
91 28 259:4 /sub /srv/part rw - ext4 /dev/nvme1n1 rw
92 28 259:9 / /srv/gone rw - ext4 /dev/nvme7n1 rw
93 28 0:44 / /srv/memory rw - tmpfs tmpfs rw
94 28 259:2 / /srv/partition rw - ext4 /dev/nvme1n1p1 rw
";
        let mounts = mountinfo::parse(text).unwrap();
        let disks = [disk()];
        let exists = |number: &str| number != "259:9";
        let look = |point| look(&mounts, &disks, Path::new(point), exists);
        let foreign = |says: &str| At::Foreign(says.to_owned());
        assert_eq!(look("/srv/db"), At::Disk(&disks[0]));
        assert_eq!(look("/srv/part"), foreign("a part (/sub) of vol-0a"));
        assert_eq!(look("/srv/gone"), At::Gone);
        assert_eq!(look("/srv/memory"), foreign("tmpfs (tmpfs)"));
        assert_eq!(look("/srv/partition"), foreign("/dev/nvme1n1p1 (ext4)"));
        assert_eq!(look("/srv"), At::Nothing);
    }

    #[tokio::test]
    async fn who_is_in_the_way_is_named() {
        let mounts = mountinfo::parse(b"1 2 0:1 / /nowhere/at-all/x rw - tmpfs t rw\n").unwrap();
        assert_eq!(
            busy(Path::new("/nowhere/at-all"), &mounts)
                .await
                .to_string(),
            "/nowhere/at-all is in use by the mount /nowhere/at-all/x"
        );
        assert_eq!(
            busy(Path::new("/nowhere/at-all"), &[]).await.to_string(),
            "/nowhere/at-all is in use by the kernel itself (swap, a loop device, an NFS export)"
        );
    }
}
