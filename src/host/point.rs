//! May this folder be a mount point? What is mounted there hides what the
//! folder has, and is looked for under its real name.

use std::fs::{self, Metadata, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::error::HostError;

/// An empty folder afterwards, made if it was not there.
pub(super) fn prepare(point: &Path) -> Result<(), HostError> {
    // A slash at the end would look through a link.
    let point: PathBuf = point.components().collect();
    let mut above: Vec<&Path> = point.ancestors().collect();
    above.reverse();
    for folder in above {
        match look(folder)? {
            None => make(folder)?,
            Some(found) if found.is_dir() => {}
            Some(found) if found.is_symlink() => return Err(leads_elsewhere(&point, folder)),
            Some(_) => {
                return Err(HostError::Refused(format!(
                    "nothing can be mounted at {}, because {} is a file and no folder",
                    point.display(),
                    folder.display()
                )));
            }
        }
    }
    refuse_if_not_empty(&point)
}

fn look(path: &Path) -> Result<Option<Metadata>, HostError> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(HostError::system(
            format!("cannot look at {}", path.display()),
            error,
        )),
    }
}

/// Whoever the data belongs to must be able to come through, whatever umask
/// this process runs with.
fn make(folder: &Path) -> Result<(), HostError> {
    let made = match fs::create_dir(folder) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(()) => fs::set_permissions(folder, Permissions::from_mode(0o755)),
    };
    made.map_err(|error| {
        HostError::system(
            format!("cannot make the folder {}", folder.display()),
            error,
        )
    })
}

/// The kernel names a mount by its real path: under another name it would be
/// mounted and never be found again.
fn leads_elsewhere(point: &Path, link: &Path) -> HostError {
    let real = match fs::canonicalize(link) {
        Ok(target) => {
            let rest = point.strip_prefix(link).unwrap_or(Path::new(""));
            let real: PathBuf = target.join(rest).components().collect();
            format!("write {} as `mount`", real.display())
        }
        Err(_) => "it leads nowhere".to_owned(),
    };
    HostError::Refused(format!(
        "nothing is mounted at {}, because {} is a symbolic link; {real}",
        point.display(),
        link.display()
    ))
}

fn refuse_if_not_empty(point: &Path) -> Result<(), HostError> {
    let shown = point.display();
    let entries = fs::read_dir(point)
        .map_err(|error| HostError::system(format!("cannot look into {shown}"), error))?;
    let mut names: Vec<String> = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name != "lost+found")
        .collect();
    names.sort();
    let Some(name) = names.first() else {
        return Ok(());
    };
    Err(HostError::Refused(format!(
        "{shown} is not empty (it has {name}), and mounting there would hide what it has; move it away, and keep what uses it from starting before rehome does"
    )))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::symlink;

    use super::*;

    fn refusal(point: &Path) -> String {
        prepare(point).unwrap_err().to_string()
    }

    #[test]
    fn a_mount_point_is_made_and_must_be_empty() {
        let top = std::env::temp_dir().join(format!("rehome-point-{}", std::process::id()));
        let _ = fs::remove_dir_all(&top);
        fs::create_dir(&top).unwrap();
        let top = fs::canonicalize(top).unwrap();
        let point = top.join("a/b");
        prepare(&point).unwrap();
        fs::create_dir(point.join("lost+found")).unwrap();
        prepare(&point).unwrap();
        fs::write(point.join("PG_VERSION"), "17").unwrap();
        let says = refusal(&point);
        assert!(says.contains("is not empty (it has PG_VERSION)"), "{says}");
        for point in [point.join("PG_VERSION"), point.join("PG_VERSION/below")] {
            let says = refusal(&point);
            assert!(
                says.ends_with("a/b/PG_VERSION is a file and no folder"),
                "{says}"
            );
        }
        fs::remove_dir_all(top).unwrap();
    }

    #[test]
    fn a_mount_point_is_its_own_real_path() {
        let top = std::env::temp_dir().join(format!("rehome-link-{}", std::process::id()));
        let _ = fs::remove_dir_all(&top);
        fs::create_dir_all(top.join("real")).unwrap();
        let top = fs::canonicalize(top).unwrap();
        symlink("real", top.join("link")).unwrap();
        symlink("nothing", top.join("loose")).unwrap();
        for below in ["", "db"] {
            let says = refusal(&top.join("link").join(below));
            let real = top.join("real").join(below);
            let wanted = format!(
                "is a symbolic link; write {} as `mount`",
                real.to_str().unwrap().trim_end_matches('/')
            );
            assert!(says.ends_with(&wanted), "{says}");
        }
        let says = refusal(&top.join("loose/db"));
        assert!(
            says.ends_with("is a symbolic link; it leads nowhere"),
            "{says}"
        );
        assert!(!top.join("real/db").exists(), "nothing was made behind it");
        fs::remove_dir_all(top).unwrap();
    }
}
