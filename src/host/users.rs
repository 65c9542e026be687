//! Who keeps a mount point or a disk busy? The processes that hold it open, by
//! name, so that a person knows what to stop.

use std::fs;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::mountinfo;

/// Enough to act on.
const MOST_NAMED: usize = 5;
/// A machine with more open files than this is not searched to the end.
const MOST_LINKS: usize = 200_000;
const MOST_MAPS: u64 = 1 << 20;

/// Processes that use something below the mount point, `postgres (812)`.
pub(super) fn of_mount(proc: &Path, point: &Path) -> Vec<String> {
    let mut links = 0;
    let uses = |process: &Path| {
        let own = ["cwd", "root", "exe"].map(|name| process.join(name));
        let open = entries(&process.join("fd"));
        own.into_iter().chain(open).any(|link| {
            links += 1;
            links <= MOST_LINKS && fs::read_link(link).is_ok_and(|path| path.starts_with(point))
        }) || maps(process, point)
    };
    named(proc, uses)
}

/// Processes in another mount namespace (a container, a sandboxed service) in
/// which this device is mounted still.
pub(super) fn of_device(proc: &Path, number: &str) -> Vec<String> {
    let mounted = |process: &Path| {
        fs::read(process.join("mountinfo"))
            .ok()
            .and_then(|text| mountinfo::parse(&text).ok())
            .is_some_and(|mounts| mounts.iter().any(|mount| mount.device == number))
    };
    named(proc, mounted)
}

fn named(proc: &Path, mut is_user: impl FnMut(&Path) -> bool) -> Vec<String> {
    let mut processes: Vec<(u32, PathBuf)> = entries(proc)
        .into_iter()
        .filter_map(|path| Some((path.file_name()?.to_str()?.parse().ok()?, path)))
        .collect();
    processes.sort();
    processes
        .iter()
        .filter(|(_, path)| is_user(path))
        .take(MOST_NAMED)
        .map(|(id, path)| {
            let name = fs::read_to_string(path.join("comm")).unwrap_or_default();
            format!("{} ({id})", name.trim())
        })
        .collect()
}

/// A mapped file keeps its mount busy without an open descriptor.
fn maps(process: &Path, point: &Path) -> bool {
    let mut text = Vec::new();
    let Ok(file) = fs::File::open(process.join("maps")) else {
        return false;
    };
    if file.take(MOST_MAPS).read_to_end(&mut text).is_err() {
        return false;
    }
    let below = [point.as_os_str().as_bytes(), b"/"].concat();
    text.split(|byte| *byte == b'\n').any(|line| {
        let path = line.iter().position(|byte| *byte == b'/');
        path.and_then(|at| line.get(at..))
            .is_some_and(|path| path.starts_with(&below))
    })
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries.flatten().map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn users_are_named_however_they_hold_on() {
        let top = std::env::temp_dir().join(format!("rehome-proc-{}", std::process::id()));
        let _ = fs::remove_dir_all(&top);
        for (id, name) in [
            ("7", "bash"),
            ("30", "postgres"),
            ("31", "java"),
            ("32", "sshd"),
        ] {
            fs::create_dir_all(top.join(id).join("fd")).unwrap();
            fs::write(top.join(id).join("comm"), format!("{name}\n")).unwrap();
        }
        fs::create_dir_all(top.join("self")).unwrap();
        symlink("/srv/db", top.join("7/cwd")).unwrap();
        symlink("/srv/db/base/1", top.join("30/fd/4")).unwrap();
        fs::write(
            top.join("31/maps"),
            "7f-80 r--s 0 103:1 12   /srv/db/lib.jar\n",
        )
        .unwrap();
        symlink("/srv/db2", top.join("32/cwd")).unwrap();
        let line = "90 28 259:4 / /srv/db rw - ext4 /dev/nvme1n1 rw\n";
        fs::write(top.join("32/mountinfo"), line).unwrap();

        assert_eq!(
            of_mount(&top, Path::new("/srv/db")),
            ["bash (7)", "postgres (30)", "java (31)"]
        );
        assert_eq!(of_device(&top, "259:4"), ["sshd (32)"]);
        assert!(of_device(&top, "259:5").is_empty());
        fs::remove_dir_all(top).unwrap();
    }

    #[test]
    fn this_process_is_found_in_its_own_folder() {
        let here = std::env::current_dir().unwrap();
        let me = format!("({})", std::process::id());
        let users = of_mount(Path::new("/proc"), &here);
        assert!(!users.is_empty());
        assert!(users.len() == MOST_NAMED || users.iter().any(|user| user.ends_with(&me)));
    }
}
