//! What must this machine have, and what is missing?

use std::fs;
use std::path::{Path, PathBuf};

use super::LiveError;
use super::tool;

/// Program → the Debian package it comes with.
const PROGRAMS: &[(&str, &str)] = &[
    ("bash", "bash"),
    ("blkid", "util-linux"),
    ("fsfreeze", "util-linux"),
    ("ip", "iproute2"),
    ("losetup", "mount"),
    ("mkfs.ext4", "e2fsprogs"),
    ("mkfs.xfs", "xfsprogs"),
    ("mount", "mount"),
    ("mountpoint", "util-linux"),
    ("nsenter", "util-linux"),
    ("setpriv", "util-linux"),
    ("unshare", "util-linux"),
];

/// Where Debian keeps the servers of PostgreSQL, by version.
const SERVERS: &str = "/usr/lib/postgresql";
const SERVER_PROGRAMS: &[&str] = &["initdb", "pg_amcheck", "pg_ctl", "pg_isready", "postgres"];

/// Where programs are looked for; an instance has the same.
pub(super) const FOLDERS: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Refuses with everything that is missing at once.
pub fn check() -> Result<(), LiveError> {
    if !rustix::process::geteuid().is_root() {
        return Err(LiveError::Refused(
            "it makes namespaces, mounts and loop devices, and only root may: run it with sudo"
                .to_owned(),
        ));
    }
    let missing = missing(FOLDERS, Path::new(SERVERS));
    if !missing.is_empty() {
        return Err(LiveError::Refused(format!(
            "this machine lacks {}",
            missing.join(", ")
        )));
    }
    if !Path::new("/dev/loop-control").exists() {
        return Err(LiveError::Refused(
            "there are no loop devices here (/dev/loop-control is missing); a container needs to be privileged".to_owned(),
        ));
    }
    let kinds = [
        "--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "true",
    ];
    tool::run(&[&["unshare"], kinds.as_slice()].concat()).map_err(|error| {
        LiveError::Refused(format!(
            "namespaces cannot be made here, even by root ({error}); a container needs to be privileged"
        ))
    })?;
    Ok(())
}

/// Each with its package.
fn missing(folders: &str, servers: &Path) -> Vec<String> {
    let lacking = PROGRAMS.iter().filter(|(name, _)| {
        let mut places = folders
            .split(':')
            .map(|folder| Path::new(folder).join(name));
        !places.any(|place| place.exists())
    });
    let mut missing: Vec<String> = lacking
        .map(|(name, package)| format!("{name} (package {package})"))
        .collect();
    if newest(servers).is_none() {
        missing.push("PostgreSQL's server (package postgresql)".to_owned());
    }
    missing
}

/// The programs of the newest PostgreSQL that is whole.
pub(super) fn server() -> Option<PathBuf> {
    newest(Path::new(SERVERS))
}

fn newest(servers: &Path) -> Option<PathBuf> {
    let versions = fs::read_dir(servers).ok()?;
    let mut versions: Vec<(u32, PathBuf)> = versions
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    versions.sort();
    let whole = |folder: &Path| {
        SERVER_PROGRAMS
            .iter()
            .all(|name| folder.join(name).exists())
    };
    versions
        .into_iter()
        .rev()
        .map(|(_, folder)| folder)
        .find(|folder| whole(folder))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn everything_that_is_missing_is_named_with_its_package() {
        let all = missing("/nowhere/at-all:/nowhere/else", Path::new("/nowhere"));
        assert_eq!(all.len(), PROGRAMS.len() + 1);
        assert!(
            all.contains(&"mkfs.xfs (package xfsprogs)".to_owned()),
            "{all:?}"
        );
        assert_eq!(
            all.last().unwrap(),
            "PostgreSQL's server (package postgresql)"
        );
    }

    #[test]
    fn the_newest_whole_server_is_taken() {
        let top = std::env::temp_dir().join(format!("rehome-servers-{}", std::process::id()));
        for version in ["9", "15", "17"] {
            fs::create_dir_all(top.join(version).join("bin")).unwrap();
        }
        assert_eq!(newest(&top), None);
        for version in ["9", "15"] {
            for program in SERVER_PROGRAMS {
                fs::write(top.join(version).join("bin").join(program), "").unwrap();
            }
        }
        assert_eq!(
            newest(&top),
            Some(top.join("15/bin")),
            "17 has no programs, 9 is older"
        );
        fs::remove_dir_all(top).unwrap();
    }
}
