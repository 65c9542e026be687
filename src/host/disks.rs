//! Which disk is which volume? On the NVMe bus the serial number says. A Xen
//! kernel shows no serial number, but which of the instance's block devices a
//! disk is; EC2 says which volume is attached there. The order in which the
//! kernel found the disks never says anything.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::error::HostError;
use crate::ids::VolumeId;

/// What an EBS volume calls itself on the NVMe bus.
const MODEL: &str = "Amazon Elastic Block Store";
const SECTOR: u64 = 512;

/// What EC2 says this instance has, and under which device name.
pub(super) type Attached = BTreeMap<VolumeId, String>;

/// One attached EBS volume, as the kernel shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EbsDisk {
    pub(super) volume: VolumeId,
    /// What can carry the file system: the disk, or its only partition.
    pub(super) path: PathBuf,
    /// Its `major:minor`, which is how mounts name it.
    pub(super) number: String,
    pub(super) bytes: u64,
    pub(super) layout: Layout,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// The disk has no partition table that the kernel knows.
    Whole,
    /// One partition, as an image builder or a person may have made it.
    OnePartition,
    /// Which of them is meant, nobody can know.
    Partitions(usize),
}

/// Every EBS disk that can be told apart under this `/sys`.
pub(super) fn list(sys: &Path, attached: &Attached) -> Result<Vec<EbsDisk>, HostError> {
    let block = sys.join("block");
    let unreadable = |error| HostError::system(format!("cannot list {}", block.display()), error);
    let mut disks: Vec<EbsDisk> = Vec::new();
    for entry in fs::read_dir(&block).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        let Some(disk) = name.to_str().and_then(|name| disk(&block, name, attached)) else {
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

/// Does this kernel show EBS volumes without their serial numbers?
pub(super) fn is_xen(sys: &Path) -> bool {
    read(&sys.join("hypervisor/type")).is_some_and(|kind| kind == "xen")
}

/// A disk that is just coming or going lacks some of this: then it is not there.
fn disk(block: &Path, name: &str, attached: &Attached) -> Option<EbsDisk> {
    let sys = block.join(name);
    let volume = if is_nvme_disk(name) {
        nvme_volume(&sys)?
    } else if name.starts_with("xvd") || name.starts_with("sd") {
        xen_volume(&sys, attached)?
    } else {
        return None;
    };
    let mut partitions = partitions(&sys, name);
    let (name, layout) = match partitions.len() {
        0 => (name.to_owned(), Layout::Whole),
        1 => (partitions.remove(0), Layout::OnePartition),
        several => (name.to_owned(), Layout::Partitions(several)),
    };
    let sys = match layout {
        Layout::OnePartition => sys.join(&name),
        Layout::Whole | Layout::Partitions(_) => sys,
    };
    let size: u64 = read(&sys.join("size"))?.parse().ok()?;
    Some(EbsDisk {
        volume,
        path: Path::new("/dev").join(name),
        number: read(&sys.join("dev"))?,
        bytes: size.saturating_mul(SECTOR),
        layout,
    })
}

/// `nvme1n1`, and neither `nvme1n1p1` nor the hidden paths `nvme1c0n1`.
fn is_nvme_disk(name: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    name.strip_prefix("nvme")
        .and_then(|rest| rest.split_once('n'))
        .is_some_and(|(controller, space)| digits(controller) && digits(space))
}

fn nvme_volume(sys: &Path) -> Option<VolumeId> {
    if read(&sys.join("device/model"))? != MODEL {
        return None;
    }
    volume_of(&read(&sys.join("device/serial"))?)
}

/// `vol0123abc` → `vol-0123abc`.
fn volume_of(serial: &str) -> Option<VolumeId> {
    let id = serial.strip_prefix("vol")?;
    let id = id.strip_prefix('-').unwrap_or(id);
    let fits = !id.is_empty() && id.bytes().all(|b| b.is_ascii_hexdigit());
    fits.then(|| VolumeId::new(format!("vol-{}", id.to_ascii_lowercase())))
}

/// The hypervisor's own number of the device, and not the kernel's name for
/// it, is compared: some kernels show `/dev/sdf` as `xvdj`.
fn xen_volume(sys: &Path, attached: &Attached) -> Option<VolumeId> {
    let node = read(&sys.join("device/nodename"))?;
    let number: u32 = node.strip_prefix("device/vbd/")?.parse().ok()?;
    let mut fitting = attached
        .iter()
        .filter(|(_, device)| vbd_numbers(device).contains(&number));
    match (fitting.next(), fitting.next()) {
        (Some((volume, _)), None) => Some(volume.clone()),
        // Nobody, or two of which one has left: not known, so not there.
        _ => None,
    }
}

/// What Xen may call the block device of this name: as an own disk (`xvd`), or
/// as the SCSI disk it was once meant to look like.
fn vbd_numbers(device: &str) -> Vec<u32> {
    let name = device.strip_prefix("/dev/").unwrap_or(device);
    let letters = name.strip_prefix("xvd").or_else(|| name.strip_prefix("sd"));
    let Some(index) = letters.and_then(index_of) else {
        return Vec::new();
    };
    match index {
        0..16 => vec![202 << 8 | index << 4, 8 << 8 | index << 4],
        _ => vec![1 << 28 | index << 8],
    }
}

/// `a` → 0, `z` → 25, `aa` → 26.
fn index_of(letters: &str) -> Option<u32> {
    let digit = |b: u8| b.is_ascii_lowercase().then(|| u32::from(b - b'a'));
    match *letters.as_bytes() {
        [one] => digit(one),
        [high, low] => Some((digit(high)? + 1) * 26 + digit(low)?),
        _ => None,
    }
}

fn partitions(sys: &Path, name: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(sys) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.path().join("partition").exists())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|child| child.starts_with(name))
        .collect();
    names.sort();
    names
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
            assert_eq!(is_nvme_disk(name), whole, "{name}");
        }
    }

    #[test]
    fn xen_numbers_its_devices() {
        for (device, numbers) in [
            ("/dev/xvda", vec![51712, 2048]),
            ("/dev/sdf", vec![51792, 2128]),
            ("xvdf", vec![51792, 2128]),
            ("/dev/sdp", vec![51952, 2288]),
            ("/dev/sdq", vec![268_439_552]),
            ("/dev/xvdba", vec![268_448_768]),
            ("/dev/sdf1", vec![]),
            ("/dev/nvme1n1", vec![]),
        ] {
            assert_eq!(vbd_numbers(device), numbers, "{device}");
        }
    }

    /// A `/sys` with these disks: name, model, serial, number.
    fn sys(test: &str, disks: &[(&str, &str, &str, &str)]) -> PathBuf {
        let top = std::env::temp_dir().join(format!("rehome-sys-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&top);
        fs::create_dir_all(top.join("block")).unwrap();
        for (name, model, serial, number) in disks {
            let disk = node(&top, name, number);
            fs::write(disk.join("device/model"), format!("{model}      \n")).unwrap();
            fs::write(disk.join("device/serial"), format!("{serial}\n")).unwrap();
        }
        top
    }

    fn node(top: &Path, name: &str, number: &str) -> PathBuf {
        let disk = top.join("block").join(name);
        fs::create_dir_all(disk.join("device")).unwrap();
        fs::write(disk.join("dev"), format!("{number}\n")).unwrap();
        fs::write(disk.join("size"), "2097152\n").unwrap();
        disk
    }

    fn partition(disk: &Path, name: &str, number: &str) {
        let partition = disk.join(name);
        fs::create_dir_all(&partition).unwrap();
        fs::write(partition.join("partition"), "1\n").unwrap();
        fs::write(partition.join("dev"), format!("{number}\n")).unwrap();
        fs::write(partition.join("size"), "2048\n").unwrap();
    }

    #[test]
    fn ebs_disks_are_found_among_others() {
        let others = "Amazon EC2 NVMe Instance Storage";
        let top = sys(
            "found",
            &[
                ("nvme0n1", MODEL, "vol0c", "259:0"),
                ("nvme1n1", others, "AWS1", "259:2"),
                ("nvme2n1", MODEL, "vol0a", "259:3"),
                ("nvme3n1", MODEL, "vol0b", "259:4"),
                ("nvme3c0n1", MODEL, "vol0a", "259:9"),
            ],
        );
        partition(&top.join("block/nvme0n1"), "nvme0n1p1", "259:1");
        partition(&top.join("block/nvme3n1"), "nvme3n1p1", "259:5");
        partition(&top.join("block/nvme3n1"), "nvme3n1p2", "259:6");
        let disk = |volume: &str, name: &str, number: &str, bytes, layout| EbsDisk {
            volume: volume.into(),
            path: Path::new("/dev").join(name),
            number: number.into(),
            bytes,
            layout,
        };
        assert_eq!(
            list(&top, &Attached::new()).unwrap(),
            [
                disk("vol-0a", "nvme2n1", "259:3", 1 << 30, Layout::Whole),
                disk("vol-0b", "nvme3n1", "259:4", 1 << 30, Layout::Partitions(2)),
                disk(
                    "vol-0c",
                    "nvme0n1p1",
                    "259:1",
                    1 << 20,
                    Layout::OnePartition
                ),
            ]
        );
        fs::remove_dir_all(top).unwrap();
    }

    #[test]
    fn on_xen_ec2_says_which_volume_is_which() {
        let top = sys("xen", &[]);
        for (name, vbd, number) in [
            ("xvda", "51712", "202:0"),
            // The kernel's name is not the device's: the number counts.
            ("xvdj", "2128", "202:144"),
            ("xvdg", "51808", "202:96"),
        ] {
            let disk = node(&top, name, number);
            let nodename = format!("device/vbd/{vbd}\n");
            fs::write(disk.join("device/nodename"), nodename).unwrap();
        }
        assert!(list(&top, &Attached::new()).unwrap().is_empty());
        let mut attached = Attached::from([
            ("vol-0f".into(), "/dev/sdf".to_owned()),
            ("vol-0g".into(), "/dev/xvdg".to_owned()),
            ("vol-0h".into(), "/dev/sdh".to_owned()),
        ]);
        let paths = |attached: &Attached| {
            let disks = list(&top, attached).unwrap().into_iter();
            disks
                .map(|disk| (disk.volume, disk.path))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            paths(&attached),
            [
                ("vol-0f".into(), "/dev/xvdj".into()),
                ("vol-0g".into(), "/dev/xvdg".into())
            ]
        );
        // Two that are said to be in one place: one of them has left it.
        attached.insert("vol-0i".into(), "/dev/sdg".to_owned());
        assert_eq!(
            paths(&attached),
            [("vol-0f".into(), PathBuf::from("/dev/xvdj"))]
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
        let none = Attached::new();
        let says = list(&top, &none).unwrap_err().to_string();
        assert!(says.ends_with("both say they are vol-0a"), "{says}");
        assert!(!is_xen(&top));
        fs::create_dir_all(top.join("hypervisor")).unwrap();
        fs::write(top.join("hypervisor/type"), "xen\n").unwrap();
        assert!(is_xen(&top));
        fs::remove_dir_all(&top).unwrap();
        let says = list(&top, &none).unwrap_err().to_string();
        assert!(says.starts_with("cannot list "), "{says}");
    }
}
