//! What does the kernel say is mounted where? `/proc/self/mountinfo`, read.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

/// One mount, of the fields that matter here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// `major:minor` of what is mounted; a file system without a device has one too.
    pub(super) device: String,
    /// What part of the file system is mounted; `/` is all of it.
    pub(super) root: PathBuf,
    pub(super) point: PathBuf,
    pub(super) filesystem: String,
    pub(super) source: String,
}

/// Every mount, in the order they were made. A line that does not look like
/// one is an error: a mount that is overlooked may be unmounted by nobody.
pub(super) fn parse(text: &[u8]) -> Result<Vec<Mount>, String> {
    text.split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| {
            mount(line).ok_or_else(|| {
                format!(
                    "cannot understand the mount `{}`",
                    String::from_utf8_lossy(line)
                )
            })
        })
        .collect()
}

/// `36 35 98:0 /root /point rw,noatime shared:1 - ext4 /dev/root rw`: any
/// number of optional fields stands before the lone dash.
fn mount(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let device = fields.nth(2)?;
    let root = fields.next()?;
    let point = fields.next()?;
    let mut fields = fields.skip_while(|field| *field != b"-").skip(1);
    let filesystem = fields.next()?;
    let source = fields.next()?;
    let text = |field: &[u8]| unescape(field).to_string_lossy().into_owned();
    Some(Mount {
        device: text(device),
        root: unescape(root).into(),
        point: unescape(point).into(),
        filesystem: text(filesystem),
        source: text(source),
    })
}

/// The kernel writes space, tab, newline and backslash as `\ooo`.
fn unescape(field: &[u8]) -> OsString {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((byte, after)) = rest.split_first() {
        let escaped = match rest {
            [
                b'\\',
                a @ b'0'..=b'3',
                b @ b'0'..=b'7',
                c @ b'0'..=b'7',
                after @ ..,
            ] => Some(((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'), after)),
            _ => None,
        };
        let (byte, after) = escaped.unwrap_or((*byte, after));
        plain.push(byte);
        rest = after;
    }
    OsString::from_vec(plain)
}

/// What is seen at this path: the last mount made there hides earlier ones.
pub(super) fn at<'m>(mounts: &'m [Mount], point: &Path) -> Option<&'m Mount> {
    mounts.iter().rev().find(|mount| mount.point == point)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    const TABLE: &[u8] = b"\
22 28 0:20 / /sys rw,nosuid shared:7 - sysfs sysfs rw
28 0 259:1 / / rw,relatime shared:1 - xfs /dev/nvme0n1p1 rw,attr2
90 28 259:4 / /srv/my\\040data rw,noatime - ext4 /dev/nvme1n1 rw
91 28 259:4 /sub\\134dir /mnt/bind rw shared:3 master:2 propagate_from:1 - ext4 /dev/nvme1n1 rw
92 28 0:50 / /srv/over rw - tmpfs tmpfs rw
93 28 259:5 / /srv/over rw - ext4 /dev/nvme2n1 rw
94 28 0:51 / /net rw - nfs4 host:/share - rw
";

    #[test]
    fn reads_what_the_kernel_writes() {
        let mounts = parse(TABLE).unwrap();
        assert_eq!(mounts.len(), 7);
        assert_eq!(
            at(&mounts, Path::new("/srv/my data")).unwrap(),
            &Mount {
                device: "259:4".into(),
                root: "/".into(),
                point: "/srv/my data".into(),
                filesystem: "ext4".into(),
                source: "/dev/nvme1n1".into(),
            }
        );
        assert_eq!(
            at(&mounts, Path::new("/mnt/bind")).unwrap().root,
            Path::new("/sub\\dir")
        );
        assert_eq!(at(&mounts, Path::new("/srv/over")).unwrap().device, "259:5");
        assert_eq!(
            at(&mounts, Path::new("/net")).unwrap().source,
            "host:/share"
        );
        assert_eq!(at(&mounts, Path::new("/srv")), None);
    }

    #[test]
    fn refuses_what_it_does_not_understand() {
        assert_eq!(
            parse(b"22 28 0:20 / /sys rw\n").unwrap_err(),
            "cannot understand the mount `22 28 0:20 / /sys rw`"
        );
        assert!(parse(b"").unwrap().is_empty());
    }

    #[test]
    fn broken_escapes_stay_as_they_are() {
        for (raw, plain) in [
            (&b"a\\011b"[..], "a\tb"),
            (b"a\\", "a\\"),
            (b"a\\08", "a\\08"),
            (b"\\134\\040", "\\ "),
        ] {
            assert_eq!(unescape(raw).to_str().unwrap(), plain);
        }
    }

    #[test]
    fn this_machine_can_be_read() {
        let mounts = parse(&std::fs::read("/proc/self/mountinfo").unwrap()).unwrap();
        assert!(at(&mounts, Path::new("/")).is_some());
    }

    proptest! {
        #[test]
        fn any_table_is_read_or_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            fields in prop::collection::vec("(-|[0-7:/]{0,4}|(\\\\[0-9]{0,4}){0,3})", 0..14),
            lines in 0..4_usize,
        ) {
            let _ = parse(&bytes);
            let line = format!("{}\n", fields.join(" "));
            if let Ok(mounts) = parse(line.repeat(lines).as_bytes()) {
                prop_assert_eq!(mounts.len(), if line == "\n" { 0 } else { lines });
            }
        }

        #[test]
        fn what_the_kernel_escaped_is_what_it_was(name in "[a-z \t\n\\\\]{0,40}") {
            let escaped: String = name.chars().map(|c| match c {
                ' ' | '\t' | '\n' | '\\' => format!("\\{:03o}", u32::from(c)),
                plain => plain.to_string(),
            }).collect();
            let plain = unescape(escaped.as_bytes());
            prop_assert_eq!(plain.to_str(), Some(name.as_str()));
        }
    }
}
