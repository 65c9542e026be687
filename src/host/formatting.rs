//! How is a file system made, so that one that was cut off is told from data?
//!
//! A `mkfs` that was killed leaves a disk that is neither blank nor a file
//! system. Before it starts, the disk was found blank; a note of that, in a
//! place that lasts as long as this boot, tells whoever comes next that what
//! is on the disk since then is only the beginning of that `mkfs`.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::command;
use super::disks::EbsDisk;
use super::error::HostError;
use super::probe;
use crate::ids::VolumeId;
use crate::spec::Filesystem;

/// A large disk takes its time even when most of the work is put off.
const LIMIT: Duration = Duration::from_secs(600);
const NOTES: &str = "/run/rehome";

/// Did a `mkfs` on this disk begin during this boot, and not end?
pub(super) fn was_cut_off(volume: &VolumeId) -> bool {
    note(volume).exists()
}

/// Makes a file system on a disk that was found blank, or half made.
pub(super) async fn make(disk: &EbsDisk, filesystem: Filesystem) -> Result<(), HostError> {
    let cut_off = was_cut_off(&disk.volume);
    begin(&disk.volume);
    if cut_off {
        clear_start(&disk.path).map_err(|error| {
            HostError::system(format!("cannot clear {}", disk.path.display()), error)
        })?;
    }
    // Never with a switch that forces: the tools refuse what is in use.
    let program = match filesystem {
        Filesystem::Ext4 => "mkfs.ext4",
        Filesystem::Xfs => "mkfs.xfs",
    };
    let device = disk.path.to_string_lossy();
    command::run_ok(&[program, "-q", &device], LIMIT).await?;
    end(&disk.volume);
    Ok(())
}

/// The note is a help, no condition: without it a person has to look.
fn begin(volume: &VolumeId) {
    let note = note(volume);
    let made = fs::create_dir_all(NOTES).and_then(|()| fs::write(&note, ""));
    if let Err(error) = made {
        tracing::warn!(note = %note.display(), %error, "could not note that a disk is being formatted");
    }
}

/// It is a file system from now on.
pub(super) fn end(volume: &VolumeId) {
    let note = note(volume);
    if note.exists()
        && let Err(error) = fs::remove_file(&note)
    {
        tracing::warn!(note = %note.display(), %error, "could not note that a disk is formatted");
    }
}

fn note(volume: &VolumeId) -> PathBuf {
    Path::new(NOTES).join(format!("formatting-{volume}"))
}

/// What probing looks at; `mkfs` refuses what looks like a file system.
fn clear_start(path: &Path) -> std::io::Result<()> {
    let mut disk = File::options().write(true).open(path)?;
    disk.write_all(&vec![0; probe::MUST_BE_ZERO])?;
    disk.sync_all()
}
