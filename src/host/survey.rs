//! Is this machine ready for what is to come? Asked for a check only; touches
//! nothing.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::HostError;
use super::linux::LinuxHost;
use super::{command, mounts};
use crate::check::{MachineFacts, PointFacts, PointState, UnitFacts};
use crate::ids::InstanceId;
use crate::spec::{Filesystem, GroupSpec};
use crate::world::Seen;

const ASK: Duration = Duration::from_secs(10);
const OWN: &[&str] = &["rehome.service", "rehome-bootstrap.service"];
/// Where a service finds programs, whatever the PATH of whoever asks.
const PLACES: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl LinuxHost {
    /// # Errors
    /// When this machine is no EC2 instance.
    pub async fn survey(&self, spec: &GroupSpec) -> Result<MachineFacts, HostError> {
        let instance = self.identity().await?.instance.clone();
        let units = match units(spec).await {
            Ok(units) => Seen::Known(units),
            Err(error) => Seen::Unknown(error.to_string()),
        };
        let mut points = BTreeMap::new();
        for volume in &spec.volumes {
            if let Some(point) = &volume.mount {
                points.insert(volume.name.clone(), look(point));
            }
        }
        Ok(MachineFacts {
            instance,
            units,
            points,
            missing_programs: missing(spec),
        })
    }
}

/// This machine's instance, as its firmware names it: it does so where nothing
/// answers for the metadata service, in a container for one.
pub fn instance_by_firmware() -> Option<InstanceId> {
    named_in(Path::new("/sys/devices/virtual/dmi/id/board_asset_tag"))
}

fn named_in(file: &Path) -> Option<InstanceId> {
    let text = fs::read_to_string(file).ok()?;
    let name = text.trim();
    let number = name.strip_prefix("i-")?;
    let is_id = number.len() >= 8 && number.chars().all(|c| c.is_ascii_hexdigit());
    is_id.then(|| InstanceId::new(name))
}

async fn units(spec: &GroupSpec) -> Result<Vec<UnitFacts>, HostError> {
    let workload = spec.workload.units.iter().map(String::as_str);
    let names: Vec<&str> = workload.chain(OWN.iter().copied()).collect();
    let mut argv = vec![
        "systemctl",
        "show",
        "--property=LoadState,UnitFileState,ActiveState",
        "--",
    ];
    argv.extend(&names);
    let ended = command::run_ok(&argv, ASK).await?;
    let blocks: Vec<&str> = ended.stdout.trim().split("\n\n").collect();
    if blocks.len() != names.len() {
        return Err(HostError::Command {
            command: argv.join(" "),
            says: ended.says(),
        });
    }
    let mut all = Vec::new();
    for (name, block) in names.iter().zip(blocks) {
        let mut unit = read(name, block);
        unit.asserts_mount = unit.installed && !unit.own && asserts_mount(name).await;
        all.push(unit);
    }
    Ok(all)
}

fn read(name: &str, block: &str) -> UnitFacts {
    let value = |key: &str| {
        let mut lines = block.lines().filter_map(|line| line.split_once('='));
        let found = lines.find(|(property, _)| *property == key);
        found.map_or("", |(_, value)| value.trim())
    };
    let enabled = match (value("UnitFileState"), value("LoadState")) {
        ("", "masked") => "masked",
        ("", _) => "not enabled",
        (state, _) => state,
    };
    UnitFacts {
        name: name.to_owned(),
        own: OWN.contains(&name),
        installed: matches!(value("LoadState"), "loaded" | "masked"),
        enabled: enabled.to_owned(),
        active: matches!(value("ActiveState"), "active" | "reloading" | "activating"),
        asserts_mount: false,
    }
}

/// In the unit's file, or in what is dropped in beside it.
async fn asserts_mount(unit: &str) -> bool {
    let asked = command::run(&["systemctl", "cat", "--", unit], ASK).await;
    asked.is_ok_and(|ended| {
        let mut lines = ended.stdout.lines().map(str::trim_start);
        lines.any(|line| {
            line.starts_with("AssertPathIsMountPoint=")
                || line.starts_with("ConditionPathIsMountPoint=")
        })
    })
}

fn look(point: &Path) -> PointFacts {
    PointFacts {
        path: point.display().to_string(),
        state: state(point),
    }
}

fn state(point: &Path) -> PointState {
    let mounted = mounts::now().is_ok_and(|all| all.iter().any(|mount| mount.point == point));
    if mounted {
        return PointState::Mounted;
    }
    for above in point.ancestors() {
        match fs::symlink_metadata(above) {
            Ok(found) if !found.is_dir() => return PointState::NotAFolder,
            _ => {}
        }
    }
    match fs::read_dir(point) {
        Err(_) => PointState::Missing,
        Ok(entries) => {
            let filled = entries
                .flatten()
                .any(|entry| entry.file_name() != "lost+found");
            match filled {
                true => PointState::Filled,
                false => PointState::Empty,
            }
        }
    }
}

/// Of the programs that `docs/host.md` names, those that this group needs.
fn missing(spec: &GroupSpec) -> Vec<String> {
    let mounted = spec.volumes.iter().filter(|volume| volume.mount.is_some());
    let mut needed: Vec<&str> = Vec::new();
    for volume in mounted {
        needed.push("blkid");
        needed.extend(match volume.filesystem {
            Filesystem::Ext4 => ["mkfs.ext4", "resize2fs"],
            Filesystem::Xfs => ["mkfs.xfs", "xfs_growfs"],
        });
        if spec.policy.freeze {
            needed.push("fsfreeze");
        }
    }
    needed.sort_unstable();
    needed.dedup();
    let path = env::var_os("PATH").unwrap_or_default();
    let places: Vec<PathBuf> = env::split_paths(&path)
        .chain(env::split_paths(PLACES))
        .collect();
    let is_there = |program: &str| places.iter().any(|place| place.join(program).is_file());
    needed
        .into_iter()
        .filter(|program| !is_there(program))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_systemctl_shows_is_read() {
        let rows = [
            (
                "LoadState=loaded\nUnitFileState=enabled\nActiveState=active",
                true,
                "enabled",
                true,
            ),
            (
                "LoadState=loaded\nUnitFileState=disabled\nActiveState=inactive",
                true,
                "disabled",
                false,
            ),
            (
                "LoadState=not-found\nUnitFileState=\nActiveState=inactive",
                false,
                "not enabled",
                false,
            ),
            (
                "LoadState=masked\nUnitFileState=masked\nActiveState=inactive",
                true,
                "masked",
                false,
            ),
            (
                "LoadState=loaded\nUnitFileState=enabled-runtime\nActiveState=failed",
                true,
                "enabled-runtime",
                false,
            ),
        ];
        for (block, installed, enabled, active) in rows {
            let unit = read("postgresql.service", block);
            assert_eq!(
                (unit.installed, unit.enabled.as_str(), unit.active),
                (installed, enabled, active),
                "{block}"
            );
            assert!(!unit.own);
        }
        assert!(read("rehome.service", "").own);
    }

    #[test]
    fn the_firmware_of_an_instance_says_its_id() {
        let file = env::temp_dir().join(format!("rehome-firmware-{}", std::process::id()));
        for (text, expected) in [
            ("i-0123456789abcdef0\n", Some("i-0123456789abcdef0")),
            ("i-97330406\n", Some("i-97330406")),
            ("Not Specified\n", None),
            ("i-am-a-desktop\n", None),
            ("", None),
        ] {
            fs::write(&file, text).unwrap();
            assert_eq!(named_in(&file), expected.map(InstanceId::new), "{text}");
        }
        fs::remove_file(&file).unwrap();
        assert_eq!(named_in(&file), None);
    }

    #[test]
    fn a_mount_point_is_what_it_is() {
        let folder = env::temp_dir().join(format!("rehome-survey-{}", std::process::id()));
        let (empty, filled) = (folder.join("empty"), folder.join("filled"));
        fs::create_dir_all(&empty).unwrap();
        fs::create_dir_all(filled.join("data")).unwrap();
        fs::write(folder.join("file"), "").unwrap();
        std::os::unix::fs::symlink(&empty, folder.join("link")).unwrap();
        let states = [
            (empty, PointState::Empty),
            (filled, PointState::Filled),
            (folder.join("missing"), PointState::Missing),
            (folder.join("file"), PointState::NotAFolder),
            (folder.join("link/below"), PointState::NotAFolder),
            (PathBuf::from("/proc"), PointState::Mounted),
        ];
        for (point, expected) in states {
            assert_eq!(state(&point), expected, "{}", point.display());
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
