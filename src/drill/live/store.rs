//! What is EBS made of here? A volume is a sparse file, a snapshot its clone,
//! an attachment a loop device.
//!
//! A clone (`FICLONE` on XFS) is atomic: it has every write that the device
//! completed before it and none after, as an EBS snapshot has, and as a disk
//! whose power was cut.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::LiveError;
use super::tool::{self, failed};

const GIB: u64 = 1 << 30;

#[derive(Debug)]
pub(super) struct Store {
    top: PathBuf,
}

/// A volume while it is plugged into a machine.
#[derive(Debug)]
pub(super) struct Disk {
    /// Major and minor number.
    pub(super) number: (u32, u32),
    pub(super) sectors: u64,
    /// Holds the loop device, which was told to clear itself when the last one
    /// who has it open lets go: that is the kernel itself if the drill dies.
    _hold: File,
}

impl Disk {
    /// As the kernel writes it.
    pub(super) fn name(&self) -> String {
        format!("{}:{}", self.number.0, self.number.1)
    }
}

impl Store {
    pub(super) fn new(top: &Path) -> Self {
        Self {
            top: top.to_owned(),
        }
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.file(id).exists()
    }

    pub(super) fn create_blank(&self, id: &str, gib: u64) -> Result<(), LiveError> {
        let what = format!("cannot create the file of {id}");
        let file = File::create_new(self.file(id)).map_err(failed(what.clone()))?;
        file.set_len(gib.saturating_mul(GIB)).map_err(failed(what))
    }

    /// A copy of this instant; larger than the original where `gib` says so.
    pub(super) fn copy(&self, from: &str, to: &str, gib: u64) -> Result<(), LiveError> {
        let what = format!("cannot clone {from} as {to}");
        let source = File::open(self.file(from)).map_err(failed(what.clone()))?;
        let copy = File::create_new(self.file(to)).map_err(failed(what.clone()))?;
        rustix::fs::ioctl_ficlone(&copy, &source)
            .map_err(|errno| failed(what.clone())(errno.into()))?;
        let size = copy.metadata().map_err(failed(what.clone()))?.len();
        let wanted = gib.saturating_mul(GIB).max(size);
        copy.set_len(wanted).map_err(failed(what))
    }

    /// From now on the volume is as it was at this instant, whatever a machine
    /// that still has it writes later: that goes to a file without a name.
    pub(super) fn cut(&self, id: &str) -> Result<(), LiveError> {
        let spare = format!("{id}.cut");
        self.copy(id, &spare, 0)?;
        fs::rename(self.file(&spare), self.file(id))
            .map_err(failed(format!("cannot put the clone of {id} in its place")))
    }

    pub(super) fn remove(&self, id: &str) -> Result<(), LiveError> {
        fs::remove_file(self.file(id)).map_err(failed(format!("cannot remove the file of {id}")))
    }

    pub(super) fn plug(&self, id: &str) -> Result<Disk, LiveError> {
        let file = self.file(id).to_string_lossy().into_owned();
        let device = tool::run(&["losetup", "--find", "--show", &file])?;
        let what = format!("cannot open {device}");
        let hold = File::open(&device).map_err(failed(what.clone()))?;
        // While it is open, this only tells it to clear itself later.
        tool::run(&["losetup", "--detach", &device])?;
        let number = hold.metadata().map_err(failed(what.clone()))?.rdev();
        let bytes = fs::metadata(&file).map_err(failed(what))?.len();
        Ok(Disk {
            number: (rustix::fs::major(number), rustix::fs::minor(number)),
            sectors: bytes / 512,
            _hold: hold,
        })
    }

    fn file(&self, id: &str) -> PathBuf {
        self.top.join(id)
    }
}
