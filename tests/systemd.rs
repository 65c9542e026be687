//! The shipped units, judged by systemd's own tools: are they sound, are they
//! as closed as systemd/README.md says, and is none of the agent's in a mount
//! namespace of its own?

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Unit, and the exposure that systemd-analyze may find, in tenths.
const UNITS: &[(&str, u32)] = &[
    ("rehome-bootstrap.service", 44),
    ("rehome.service", 44),
    ("rehome-controller.service", 11),
];
const AGENT: &[&str] = &["rehome-bootstrap.service", "rehome.service"];
const DROP_IN: &str = "postgresql@.service.d/10-rehome.conf";

/// With any of these, a volume would be mounted where nobody else sees it.
const PRIVATE_MOUNTS: &[&str] = &[
    "BindPaths",
    "BindReadOnlyPaths",
    "DynamicUser",
    "ExecPaths",
    "ExtensionDirectories",
    "ExtensionImages",
    "InaccessiblePaths",
    "LogNamespace",
    "MountAPIVFS",
    "MountFlags",
    "MountImages",
    "NoExecPaths",
    "PrivateDevices",
    "PrivateIPC",
    "PrivateMounts",
    "PrivateTmp",
    "ProcSubset",
    "ProtectControlGroups",
    "ProtectHome",
    "ProtectKernelLogs",
    "ProtectKernelModules",
    "ProtectKernelTunables",
    "ProtectProc",
    "ProtectSystem",
    "ReadOnlyPaths",
    "ReadWritePaths",
    "RootDirectory",
    "RootImage",
    "TemporaryFileSystem",
];

fn shipped(unit: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("systemd")
        .join(unit);
    fs::read_to_string(path).unwrap()
}

/// The units in a folder of their own, with the program where it was built.
fn installed(test: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("rehome-{test}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    for (unit, _) in UNITS {
        let text = shipped(unit).replace("/usr/bin/rehome", env!("CARGO_BIN_EXE_rehome"));
        fs::write(folder.join(unit), text).unwrap();
    }
    folder
}

/// Says so, past the capture of what passing tests say, where it is missing or
/// does not know an option.
fn systemd_analyze(arguments: &[&str], unit: &Path) -> Option<Output> {
    let ended = Command::new("systemd-analyze")
        .args(arguments)
        .arg(unit)
        .output();
    let why = match ended {
        Err(error) => error.to_string(),
        Ok(ended) => {
            let says = String::from_utf8_lossy(&ended.stderr);
            if !says.contains("unrecognized option") {
                return Some(ended);
            }
            says.trim().to_owned()
        }
    };
    let line = format!("LEFT OUT: systemd-analyze {}: {why}\n", arguments.join(" "));
    io::stderr().write_all(line.as_bytes()).unwrap();
    None
}

fn said(ended: &Output) -> String {
    let out = String::from_utf8_lossy(&ended.stdout);
    format!("{out}{}", String::from_utf8_lossy(&ended.stderr))
}

#[test]
fn systemd_finds_no_fault() {
    let folder = installed("verify");
    for (unit, _) in UNITS {
        if let Some(ended) = systemd_analyze(&["verify", "--man=no"], &folder.join(unit)) {
            assert!(
                ended.status.success() && said(&ended).is_empty(),
                "{unit}: {}",
                said(&ended)
            );
        }
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_drop_in_fits_a_service() {
    let folder = installed("drop-in");
    let service = "[Unit]\nDescription=A database\n[Service]\nExecStart=/bin/true\n";
    fs::write(folder.join("database.service"), service).unwrap();
    fs::create_dir(folder.join("database.service.d")).unwrap();
    fs::write(
        folder.join("database.service.d/10-rehome.conf"),
        shipped(DROP_IN),
    )
    .unwrap();
    let unit = folder.join("database.service");
    if let Some(ended) = systemd_analyze(&["verify", "--man=no"], &unit) {
        assert!(
            ended.status.success() && said(&ended).is_empty(),
            "{}",
            said(&ended)
        );
    }
    fs::remove_dir_all(folder).unwrap();
    let text = shipped(DROP_IN);
    let directives: Vec<&str> = text
        .lines()
        .filter(|line| line.contains('=') && !line.starts_with('#'))
        .collect();
    let place = "/var/lib/postgresql";
    assert_eq!(
        directives,
        [
            format!("AssertPathIsMountPoint={place}"),
            format!("RequiresMountsFor={place}")
        ],
        "any order with a unit that starts this one is a deadlock"
    );
}

#[test]
fn they_are_as_closed_as_it_is_said() {
    let folder = installed("security");
    for (unit, most) in UNITS {
        let threshold = format!("--threshold={most}");
        let arguments = ["security", "--offline=true", "--no-pager", &threshold];
        let Some(ended) = systemd_analyze(&arguments, &folder.join(unit)) else {
            continue;
        };
        assert!(
            ended.status.success(),
            "{unit} is more open than {most}: {}",
            said(&ended)
        );
        let says = format!("{}.{} OK", most / 10, most % 10);
        let readme = shipped("README.md");
        let line = readme
            .lines()
            .find(|line| line.contains(&format!("./systemd/{unit}")))
            .unwrap();
        assert!(line.ends_with(&says), "{line}: {says}");
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_the_agent_mounts_others_see() {
    for unit in AGENT {
        for line in shipped(unit).lines() {
            let key = line.split('=').next().unwrap();
            assert!(!PRIVATE_MOUNTS.contains(&key), "{unit}: {line}");
        }
    }
}
