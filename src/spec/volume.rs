//! What the `[[group.volume]]`s of one group say.

use std::path::{Component, Path, PathBuf};

use super::error::ConfigError;
use super::reader::{Item, Once, Table};
use super::{Filesystem, VolumeSpec};
use crate::ids::VolumeName;
use crate::world::Shape;

const KEYS: &[&str] = &[
    "name",
    "device",
    "mount",
    "filesystem",
    "size_gib",
    "type",
    "iops",
    "throughput",
    "kms_key_id",
];

const TYPES: &[&str] = &["gp3", "gp2", "io2", "io1", "st1", "sc1", "standard"];

pub(super) fn read_all(group: &Table<'_>) -> Result<Vec<VolumeSpec>, ConfigError> {
    let Some(list) = group.get("volume") else {
        return Ok(Vec::new());
    };
    let mut names = Once::of("every volume of a group has its own name");
    let mut devices = Once::of("every volume of a group has its own device");
    let mut mounts: Vec<(PathBuf, Item<'_>)> = Vec::new();
    let mut volumes = Vec::new();
    for table in list.tables(KEYS)? {
        let item = table.need("name", "\"data\"")?;
        let name = volume_name(&item)?;
        names.check(name.as_str(), &item)?;
        let item = table.need("device", "\"/dev/sdf\"")?;
        let device = device(&item)?;
        // A Xen kernel shows both families as /dev/xvd…: sdf and xvdf are one place.
        devices.check(&device.replacen("/dev/xvd", "/dev/sd", 1), &item)?;
        let mount = match table.get("mount") {
            None => None,
            Some(item) => Some(mount(item, &mut mounts)?),
        };
        volumes.push(VolumeSpec {
            name,
            device,
            mount,
            filesystem: filesystem(&table)?,
            first: shape(&table)?,
        });
    }
    Ok(volumes)
}

fn volume_name(item: &Item<'_>) -> Result<VolumeName, ConfigError> {
    let name = item.text("data")?;
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if name.len() > 32 || !name.bytes().all(fits) {
        return Err(item.refuse(format!(
            "\"{name}\" must be 1 to 32 of the characters a-z, 0-9 and -"
        )));
    }
    Ok(VolumeName::new(name))
}

/// A device name that EBS takes for a data volume.
fn device(item: &Item<'_>) -> Result<String, ConfigError> {
    let device = item.text("/dev/sdf")?;
    let allowed = "use /dev/sdf to /dev/sdp (or /dev/sdb to /dev/sdz, /dev/xvdba to /dev/xvdcz)";
    let says = match device.as_bytes() {
        [b'/', b'd', b'e', b'v', b'/', b's', b'd', b'b'..=b'z']
        | [b'/', b'd', b'e', b'v', b'/', b'x', b'v', b'd', b'b'..=b'z']
        | [
            b'/',
            b'd',
            b'e',
            b'v',
            b'/',
            b'x',
            b'v',
            b'd',
            b'b' | b'c',
            b'a'..=b'z',
        ] => {
            return Ok(device.to_owned());
        }
        [b'/', b'd', b'e', b'v', b'/', b's', b'd', b'a', ..]
        | [b'/', b'd', b'e', b'v', b'/', b'x', b'v', b'd', b'a'] => "is the root volume's place",
        [b'/', b'd', b'e', b'v', b'/', b'n', b'v', b'm', b'e', ..] => {
            "is the kernel's own name, which changes from boot to boot; EBS wants the name given at the attachment, and rehome finds the disk by its serial number"
        }
        [b'/', b'd', b'e', b'v', b'/', .., b'0'..=b'9'] => {
            "is a partition, and a data volume is attached whole"
        }
        [b'/', b'd', b'e', b'v', b'/', ..] => "is no device name that EBS takes",
        _ => "does not begin with /dev/",
    };
    Err(item.refuse(format!("\"{device}\" {says}; {allowed}")))
}

/// An absolute mount point that neither is, nor lies in, nor holds another.
fn mount<'a>(
    item: Item<'a>,
    others: &mut Vec<(PathBuf, Item<'a>)>,
) -> Result<PathBuf, ConfigError> {
    let text = item.text("/var/lib/postgresql")?;
    let path = Path::new(text);
    if !path.is_absolute() {
        return Err(item.refuse(format!(
            "\"{text}\" must be an absolute path, such as \"/var/lib/postgresql\""
        )));
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(item.refuse(format!("\"{text}\" must not contain \"..\"")));
    }
    // Without doubled and trailing slashes and dots, as the kernel will report it.
    let path: PathBuf = path.components().collect();
    if path.parent().is_none() {
        return Err(item.refuse("\"/\" is the root volume's; a data volume needs its own place"));
    }
    for (other, place) in others.iter() {
        let line = place.line();
        if *other == path {
            return Err(item.refuse(format!(
                "this is on line {line} already; every volume of a group has its own mount point"
            )));
        }
        if path.starts_with(other) || other.starts_with(&path) {
            return Err(item.refuse(format!(
                "\"{text}\" and \"{}\" on line {line} lie in each other; mount them side by side",
                other.display()
            )));
        }
    }
    others.push((path.clone(), item));
    Ok(path)
}

fn filesystem(table: &Table<'_>) -> Result<Filesystem, ConfigError> {
    let Some(item) = table.get("filesystem") else {
        return Ok(Filesystem::Ext4);
    };
    match item.text("ext4")? {
        "ext4" => Ok(Filesystem::Ext4),
        "xfs" => Ok(Filesystem::Xfs),
        other => Err(item.refuse(format!("\"{other}\" must be \"ext4\" or \"xfs\""))),
    }
}

/// The five keys for the very first, blank volume.
fn shape(table: &Table<'_>) -> Result<Shape, ConfigError> {
    let kind = match table.get("type") {
        None => None,
        Some(item) => {
            let kind = item.text("gp3")?;
            if !TYPES.contains(&kind) {
                return Err(item.refuse(format!(
                    "\"{kind}\" is no volume type; it is one of {}",
                    TYPES.join(", ")
                )));
            }
            Some(kind)
        }
    };
    let number = |key: &str, allowed| table.get(key).map(|item| item.number(allowed)).transpose();
    let kms_key_id = match table.get("kms_key_id") {
        None => None,
        Some(item) => Some(item.text("alias/data")?.to_owned()),
    };
    let shape = Shape {
        volume_type: kind.map(str::to_owned),
        size_gib: number("size_gib", 1..65_537)?,
        iops: number("iops", 100..256_001)?,
        throughput: number("throughput", 125..2_001)?,
        encrypted: kms_key_id.is_some().then_some(true),
        kms_key_id,
    };
    fits_type(table, kind, &shape)?;
    Ok(shape)
}

/// Refuses figures that the volume's type does not have.
fn fits_type(table: &Table<'_>, kind: Option<&str>, shape: &Shape) -> Result<(), ConfigError> {
    let own_iops = ["gp3", "io1", "io2"];
    let whose = kind.map_or("a volume without a type".to_owned(), |kind| {
        format!("type {kind}")
    });
    if let Some(item) = table.get("iops")
        && !kind.is_some_and(|kind| own_iops.contains(&kind))
    {
        return Err(item.refuse(format!(
            "{whose} has no iops to set; only gp3, io1 and io2 have"
        )));
    }
    if let Some(item) = table.get("throughput")
        && kind != Some("gp3")
    {
        return Err(item.refuse(format!("{whose} has no throughput to set; only gp3 has")));
    }
    if let Some(item) = table.get("type")
        && matches!(kind, Some("io1" | "io2"))
        && shape.size_gib.is_some()
        && shape.iops.is_none()
    {
        return Err(item.refuse(format!("{whose} needs iops beside it, such as iops = 3000")));
    }
    Ok(())
}
