//! What is on a disk? Nothing, for sure; or a file system, how large, and
//! whether it says of itself that it is damaged.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::time::Duration;

use super::command::{self, Ended};
use super::error::HostError;
use crate::spec::Filesystem;

const LIMIT: Duration = Duration::from_secs(30);
/// A blank volume reads as zeros; what nobody recognises need not be nothing.
pub(super) const MUST_BE_ZERO: usize = 1 << 20;
const UNKNOWN: &str = "data of no known kind";
/// XFS notes in its superblock that `mkfs` is not through with it.
const UNFINISHED: &str = "an unfinished xfs";
const XFS_IN_PROGRESS: usize = 126;

/// What probing finds; `None` is positively nothing.
pub(super) async fn filesystem(path: &Path) -> Result<Option<String>, HostError> {
    let device = path.to_string_lossy();
    let argv = ["blkid", "-p", "-o", "export", &device];
    let ended = command::run(&argv, LIMIT).await?;
    let found = found(&ended).map_err(|says| HostError::Command {
        command: argv.join(" "),
        says,
    })?;
    if found.as_deref() == Some("xfs") && is_in_progress(path) {
        return Ok(Some(UNFINISHED.to_owned()));
    }
    if found.is_some() {
        return Ok(found);
    }
    // blkid says "not found" as well when it cannot open the disk.
    let zero = begins_with_zeros(path)
        .map_err(|error| HostError::system(format!("cannot read {device}"), error))?;
    Ok((!zero).then(|| UNKNOWN.to_owned()))
}

/// May this be what a `mkfs` leaves that was cut off?
pub(super) fn is_unfinished(found: &str) -> bool {
    [UNKNOWN, UNFINISHED].contains(&found)
}

fn is_in_progress(path: &Path) -> bool {
    superblock(path, Filesystem::Xfs)
        .is_ok_and(|block| block.get(XFS_IN_PROGRESS).is_some_and(|flag| *flag != 0))
}

/// Reads blkid's answer. Exit code 2 is "nothing there"; 8 is "several things
/// at once", which a person has to look at.
fn found(ended: &Ended) -> Result<Option<String>, String> {
    match ended.code {
        Some(0) => {}
        Some(2) if ended.stdout.trim().is_empty() && ended.stderr.trim().is_empty() => {
            return Ok(None);
        }
        Some(8) => return Err("finds traces of several file systems at once".to_owned()),
        _ => return Err(ended.says()),
    }
    let value = |key: &str| {
        let mut lines = ended.stdout.lines().filter_map(|line| line.split_once('='));
        let (_, value) = lines.find(|(name, _)| *name == key)?;
        Some(value.to_owned()).filter(|value| !value.is_empty())
    };
    let table = || value("PTTYPE").map(|kind| format!("a partition table ({kind})"));
    Ok(Some(
        value("TYPE")
            .or_else(table)
            .unwrap_or_else(|| UNKNOWN.to_owned()),
    ))
}

fn begins_with_zeros(path: &Path) -> std::io::Result<bool> {
    let mut start = Vec::with_capacity(MUST_BE_ZERO);
    File::open(path)?
        .take(MUST_BE_ZERO as u64)
        .read_to_end(&mut start)?;
    Ok(!start.is_empty() && start.iter().all(|byte| *byte == 0))
}

/// How many bytes the file system on this disk spans, if its superblock says so.
pub(super) fn spans(path: &Path, filesystem: Filesystem) -> std::io::Result<Option<u64>> {
    let block = superblock(path, filesystem)?;
    Ok(match filesystem {
        Filesystem::Ext4 => ext4_bytes(&block),
        Filesystem::Xfs => xfs_bytes(&block),
    })
}

/// Why this file system is not to be mounted before a person has seen to it.
/// (XFS keeps no such note: it refuses the mount itself.)
pub(super) fn damage(path: &Path, filesystem: Filesystem) -> std::io::Result<Option<&'static str>> {
    match filesystem {
        Filesystem::Ext4 => Ok(ext4_damage(&superblock(path, filesystem)?)),
        Filesystem::Xfs => Ok(None),
    }
}

fn superblock(path: &Path, filesystem: Filesystem) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut block = Vec::with_capacity(1024);
    if filesystem == Filesystem::Ext4 {
        file.seek(SeekFrom::Start(1024))?;
    }
    file.take(1024).read_to_end(&mut block)?;
    Ok(block)
}

fn is_ext4(superblock: &[u8]) -> Option<()> {
    (field(superblock, 0x38)? == [0x53, 0xEF]).then_some(())
}

fn ext4_bytes(superblock: &[u8]) -> Option<u64> {
    is_ext4(superblock)?;
    let low = u32::from_le_bytes(field(superblock, 0x4)?);
    let shift = u32::from_le_bytes(field(superblock, 0x18)?);
    let features = u32::from_le_bytes(field(superblock, 0x60)?);
    // The upper half of the count is only there with the 64bit feature.
    let high = match features & 0x80 {
        0 => 0,
        _ => u32::from_le_bytes(field(superblock, 0x150)?),
    };
    let blocks = u64::from(high) << 32 | u64::from(low);
    blocks.checked_mul(1024_u64.checked_shl(shift)?)
}

/// A journal that has to be replayed is no damage: mounting does that.
fn ext4_damage(superblock: &[u8]) -> Option<&'static str> {
    const VALID: u16 = 1;
    const ERRORS: u16 = 2;
    is_ext4(superblock)?;
    let state = u16::from_le_bytes(field(superblock, 0x3A)?);
    if state & ERRORS != 0 {
        Some("errors were found on it while it was in use")
    } else if state & VALID == 0 {
        // With a journal, this note is never taken away while it is mounted.
        Some("it has no journal, and was not unmounted")
    } else {
        None
    }
}

fn xfs_bytes(superblock: &[u8]) -> Option<u64> {
    if field(superblock, 0)? != *b"XFSB" {
        return None;
    }
    let block = u32::from_be_bytes(field(superblock, 4)?);
    let blocks = u64::from_be_bytes(field(superblock, 8)?);
    blocks.checked_mul(u64::from(block))
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use proptest::prelude::*;

    use super::*;

    fn ended(code: i32, stdout: &str, stderr: &str) -> Ended {
        Ended {
            code: Some(code),
            stdout: stdout.into(),
            stderr: stderr.into(),
        }
    }

    #[test]
    fn only_a_silent_not_found_is_nothing() {
        let export = "DEVNAME=/dev/nvme1n1\nUUID=1-2\nVERSION=1.0\nTYPE=ext4\nUSAGE=filesystem\n";
        assert_eq!(found(&ended(0, export, "")).unwrap().unwrap(), "ext4");
        assert_eq!(
            found(&ended(
                0,
                "DEVNAME=/dev/nvme1n1\nPTUUID=1\nPTTYPE=gpt\n",
                ""
            ))
            .unwrap()
            .unwrap(),
            "a partition table (gpt)"
        );
        assert_eq!(
            found(&ended(0, "", "")).unwrap().unwrap(),
            "data of no known kind"
        );
        assert_eq!(found(&ended(2, "", "")).unwrap(), None);
        assert_eq!(
            found(&ended(
                2,
                "",
                "blkid: error: /dev/nvme1n1: Permission denied\n"
            ))
            .unwrap_err(),
            "ended with exit code 2: blkid: error: /dev/nvme1n1: Permission denied"
        );
        assert_eq!(
            found(&ended(8, "", "")).unwrap_err(),
            "finds traces of several file systems at once"
        );
        assert_eq!(
            found(&ended(4, "", "usage")).unwrap_err(),
            "ended with exit code 4: usage"
        );
    }

    #[test]
    fn superblocks_say_how_large() {
        let mut ext4 = vec![0; 1024];
        assert_eq!(ext4_bytes(&ext4), None, "no magic number");
        ext4[0x38..0x3A].copy_from_slice(&[0x53, 0xEF]);
        ext4[0x4..0x8].copy_from_slice(&262_144_u32.to_le_bytes());
        ext4[0x18] = 2;
        assert_eq!(ext4_bytes(&ext4), Some(1 << 30));
        ext4[0x150] = 1;
        assert_eq!(
            ext4_bytes(&ext4),
            Some(1 << 30),
            "without 64bit there is no upper half"
        );
        ext4[0x60] = 0x80;
        assert_eq!(ext4_bytes(&ext4), Some((1 << 30) + (1 << 44)));
        ext4[0x18] = 0xFF;
        assert_eq!(ext4_bytes(&ext4), None, "nonsense is no size");
        assert_eq!(ext4_bytes(&[]), None);

        let mut xfs = vec![0; 1024];
        assert_eq!(xfs_bytes(&xfs), None);
        xfs[..4].copy_from_slice(b"XFSB");
        xfs[4..8].copy_from_slice(&4096_u32.to_be_bytes());
        xfs[8..16].copy_from_slice(&262_144_u64.to_be_bytes());
        assert_eq!(xfs_bytes(&xfs), Some(1 << 30));
    }

    #[test]
    fn a_file_system_says_that_it_is_damaged() {
        let mut ext4 = vec![0; 1024];
        assert_eq!(ext4_damage(&ext4), None, "no ext4 at all");
        ext4[0x38..0x3A].copy_from_slice(&[0x53, 0xEF]);
        for (state, damaged) in [(1, false), (5, false), (0, true), (3, true), (2, true)] {
            ext4[0x3A] = state;
            assert_eq!(ext4_damage(&ext4).is_some(), damaged, "{state}");
        }
    }

    #[test]
    fn zeros_are_told_from_data() {
        let path = std::env::temp_dir().join(format!("rehome-zeros-{}", std::process::id()));
        for (bytes, zero) in [
            (vec![0; 2 << 20], true),
            (Vec::new(), false),
            ([vec![0; MUST_BE_ZERO - 1], vec![1]].concat(), false),
        ] {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(begins_with_zeros(&path).unwrap(), zero);
        }
        std::fs::remove_file(path).unwrap();
    }

    proptest! {
        /// Anything may stand on a disk; so may half of what should.
        #[test]
        fn no_superblock_panics(
            mut block in prop::collection::vec(any::<u8>(), 0..1100),
            kind in 0..3_u8,
        ) {
            let magic: &[u8] = if kind == 1 { &[0x53, 0xEF] } else { b"XFSB" };
            let at = if kind == 1 { 0x38 } else { 0 };
            if let Some(place) = block.get_mut(at..at + magic.len()).filter(|_| kind > 0) {
                place.copy_from_slice(magic);
            }
            let _ = (ext4_bytes(&block), ext4_damage(&block), xfs_bytes(&block));
        }
    }
}
