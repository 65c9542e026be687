//! Which disk is which volume? The serial number says; the order in which the
//! kernel found the disks never does.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::HostError;
use crate::ids::VolumeId;

/// What an EBS volume calls itself on the NVMe bus.
const MODEL: &str = "Amazon Elastic Block Store";
const SECTOR: u64 = 512;

/// One attached EBS volume, as the kernel shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EbsDisk {
    pub(super) volume: VolumeId,
    /// `/dev/nvme1n1`
    pub(super) path: PathBuf,
    /// `major:minor`, which is how mounts name it.
    pub(super) number: String,
    pub(super) bytes: u64,
    /// The kernel read a partition table from it.
    pub(super) partitioned: bool,
}

/// Every EBS disk that the kernel shows under this `/sys`.
pub(super) fn list(sys: &Path) -> Result<Vec<EbsDisk>, HostError> {
    if read(&sys.join("hypervisor/type")).is_some_and(|kind| kind == "xen") {
        return Err(HostError::Refused(
            "this instance type shows its disks without serial numbers (Xen), so volumes cannot be told apart safely; use a Nitro instance type, or leave `mount` out to attach only".to_owned(),
        ));
    }
    let block = sys.join("block");
    let unreadable = |error| HostError::system(format!("cannot list {}", block.display()), error);
    let mut disks: Vec<EbsDisk> = Vec::new();
    for entry in fs::read_dir(&block).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        let Some(disk) = name.to_str().and_then(|name| disk(&block, name)) else {
            continue;
        };
        if let Some(twin) = disks.iter().find(|other| other.volume == disk.volume) {
            return Err(HostError::Refused(format!(
                "{} and {} both say they are {}",
                twin.path.display(),
                disk.path.display(),
                disk.volume
            )));
        }
        disks.push(disk);
    }
    disks.sort_by(|a, b| a.volume.cmp(&b.volume));
    Ok(disks)
}

/// A disk that is just coming or going lacks some of this: then it is not there.
fn disk(block: &Path, name: &str) -> Option<EbsDisk> {
    if !is_whole_disk(name) {
        return None;
    }
    let sys = block.join(name);
    if read(&sys.join("device/model"))? != MODEL {
        return None;
    }
    let size: u64 = read(&sys.join("size"))?.parse().ok()?;
    Some(EbsDisk {
        volume: volume_of(&read(&sys.join("device/serial"))?)?,
        path: Path::new("/dev").join(name),
        number: read(&sys.join("dev"))?,
        bytes: size.saturating_mul(SECTOR),
        partitioned: has_partition(&sys, name),
    })
}

/// `nvme1n1`, and neither `nvme1n1p1` nor the hidden paths `nvme1c0n1`.
fn is_whole_disk(name: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    name.strip_prefix("nvme")
        .and_then(|rest| rest.split_once('n'))
        .is_some_and(|(controller, space)| digits(controller) && digits(space))
}

/// `vol0123abc` → `vol-0123abc`.
fn volume_of(serial: &str) -> Option<VolumeId> {
    let id = serial.strip_prefix("vol")?;
    let id = id.strip_prefix('-').unwrap_or(id);
    let fits = !id.is_empty() && id.bytes().all(|b| b.is_ascii_hexdigit());
    fits.then(|| VolumeId::new(format!("vol-{}", id.to_ascii_lowercase())))
}

fn has_partition(sys: &Path, name: &str) -> bool {
    let Ok(entries) = fs::read_dir(sys) else {
        return false;
    };
    entries.flatten().any(|entry| {
        let child = entry.file_name();
        child.to_str().is_some_and(|child| child.starts_with(name))
            && entry.path().join("partition").exists()
    })
}

fn read(path: &Path) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn serial_numbers_name_volumes() {
        for (serial, volume) in [
            ("vol0123456789abcdef0", Some("vol-0123456789abcdef0")),
            ("vol-0ABC", Some("vol-0abc")),
            ("vol", None),
            ("AWS1234567890", None),
            ("vol0123 ", None),
            ("volume", None),
        ] {
            assert_eq!(volume_of(serial), volume.map(VolumeId::from), "{serial}");
        }
    }

    #[test]
    fn only_whole_disks_count() {
        for (name, whole) in [
            ("nvme0n1", true),
            ("nvme12n1", true),
            ("nvme0n1p1", false),
            ("nvme0c0n1", false),
            ("nvme", false),
            ("sda", false),
            ("loop0", false),
        ] {
            assert_eq!(is_whole_disk(name), whole, "{name}");
        }
    }

    /// A `/sys` with these disks: name, model, serial, number.
    fn sys(test: &str, disks: &[(&str, &str, &str, &str)]) -> PathBuf {
        let top = std::env::temp_dir().join(format!("rehome-sys-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&top);
        fs::create_dir_all(top.join("block")).unwrap();
        for (name, model, serial, number) in disks {
            let disk = top.join("block").join(name);
            fs::create_dir_all(disk.join("device")).unwrap();
            fs::write(disk.join("device/model"), format!("{model}      \n")).unwrap();
            fs::write(disk.join("device/serial"), format!("{serial}\n")).unwrap();
            fs::write(disk.join("dev"), format!("{number}\n")).unwrap();
            fs::write(disk.join("size"), "2097152\n").unwrap();
        }
        top
    }

    #[test]
    fn ebs_disks_are_found_among_others() {
        let top = sys(
            "found",
            &[
                ("nvme0n1", MODEL, "vol0b", "259:0"),
                (
                    "nvme1n1",
                    "Amazon EC2 NVMe Instance Storage",
                    "AWS1",
                    "259:2",
                ),
                ("nvme2n1", MODEL, "vol0a", "259:3"),
                ("nvme3c0n1", MODEL, "vol0a", "259:9"),
            ],
        );
        let partition = top.join("block/nvme0n1/nvme0n1p1");
        fs::create_dir_all(&partition).unwrap();
        fs::write(partition.join("partition"), "1\n").unwrap();
        let found = list(&top).unwrap();
        let disk = |volume: &str, name: &str, number: &str, partitioned| EbsDisk {
            volume: volume.into(),
            path: Path::new("/dev").join(name),
            number: number.into(),
            bytes: 1 << 30,
            partitioned,
        };
        assert_eq!(
            found,
            [
                disk("vol-0a", "nvme2n1", "259:3", false),
                disk("vol-0b", "nvme0n1", "259:0", true)
            ]
        );
        fs::remove_dir_all(top).unwrap();
    }

    #[test]
    fn what_is_not_sure_is_refused() {
        let twins = [
            ("nvme1n1", MODEL, "vol0a", "259:0"),
            ("nvme2n1", MODEL, "vol0a", "259:1"),
        ];
        let top = sys("twins", &twins);
        let says = list(&top).unwrap_err().to_string();
        assert!(says.ends_with("both say they are vol-0a"), "{says}");
        fs::create_dir_all(top.join("hypervisor")).unwrap();
        fs::write(top.join("hypervisor/type"), "xen\n").unwrap();
        assert!(
            list(&top)
                .unwrap_err()
                .to_string()
                .contains("use a Nitro instance type")
        );
        fs::remove_dir_all(&top).unwrap();
        assert!(
            list(&top)
                .unwrap_err()
                .to_string()
                .starts_with("cannot list ")
        );
    }
}
