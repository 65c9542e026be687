//! A machine of one's own: its disks are loop devices, its `/dev` and
//! `/sys/block` are a private view in which they carry the names and serial
//! numbers of EBS volumes, its `systemctl` is a stand-in. The code under test
//! runs in it unchanged.
//!
//! A test runs twice. The first run starts the second in a mount namespace of
//! its own, which ends with it, and with it all its mounts; the loop devices go
//! with the last that has them open. So nothing stays behind, however it ends.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

use rehome::host::linux::LinuxHost;
use rehome::spec::{self, GroupSpec};

pub(crate) const INSTANCE: &str = "i-0123456789abcdef0";
const MODEL: &str = "Amazon Elastic Block Store";
const INSIDE: &str = "REHOME_HOST_TEST";
const FOLDER: &str = "REHOME_HOST_FOLDER";
const PATIENCE: &str = "180";

/// Stands in for systemd's: keeps the state of each unit in a file.
const SYSTEMCTL: &str = r#"#!/bin/sh
cd "$REHOME_HOST_FOLDER/units" || exit 1
echo "$*" >>../systemctl.log
verb=$1
shift
case $verb in
is-active) for unit; do cat "$unit" 2>/dev/null || echo inactive; done ;;
start) [ -e "$1.broken" ] && { echo "Job for $1 failed" >&2; exit 1; }; echo active >"$1" ;;
stop) [ -e "$1.stuck" ] && exec sleep 600; [ -e "$1" ] && echo inactive >"$1" ;;
*) exit 1 ;;
esac
exit 0
"#;

pub(crate) struct Machine {
    folder: PathBuf,
    /// Keeps each loop device from going away.
    held: RefCell<Vec<File>>,
}

/// One volume: a file, seen as a block device of this number.
pub(crate) struct Disk {
    pub(crate) volume: String,
    image: PathBuf,
    minor: u32,
}

/// Runs the test of this name on a machine of its own.
pub(crate) fn on_a_machine(name: &str, needs_xfs: bool, test: fn(&Machine)) {
    if std::env::var(INSIDE).is_ok_and(|inside| inside == name) {
        let folder = PathBuf::from(std::env::var_os(FOLDER).unwrap());
        return test(&Machine::enter(folder));
    }
    if let Some(why) = left_out(needs_xfs) {
        return leave_out(&format!("{name} on real block devices: {why}"));
    }
    // A colon would part it in PATH.
    let plain = name.replace("::", "-");
    let folder = std::env::temp_dir().join(format!("rehome-{plain}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let folder = fs::canonicalize(folder).unwrap();
    let ended = Command::new("timeout")
        .args([
            "--kill-after=10",
            PATIENCE,
            "unshare",
            "--mount",
            "--propagation",
            "private",
        ])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(INSIDE, name)
        .env(FOLDER, &folder)
        .env("PATH", path_with(&folder.join("bin")))
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata_service())
        .env_remove("AWS_EC2_METADATA_DISABLED")
        .output()
        .unwrap();
    fs::remove_dir_all(&folder).unwrap();
    let said = said(&ended);
    assert!(ended.status.success(), "{said}");
    assert!(said.contains("1 passed"), "the test did not run:\n{said}");
    for what in said
        .lines()
        .filter_map(|line| line.strip_prefix("LEFT OUT: "))
    {
        leave_out(what);
    }
}

fn left_out(needs_xfs: bool) -> Option<&'static str> {
    let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    if !root {
        Some("needs root")
    } else if !Path::new("/dev/loop-control").exists() {
        Some("there are no loop devices")
    } else if !Command::new("unshare")
        .args(["--mount", "true"])
        .output()
        .is_ok_and(|o| o.status.success())
    {
        Some("no mount namespace can be made")
    } else if needs_xfs
        && !Command::new("mkfs.xfs")
            .arg("-V")
            .output()
            .is_ok_and(|o| o.status.success())
    {
        Some("xfsprogs is not installed")
    } else {
        None
    }
}

fn path_with(first: &Path) -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    // Where the tools for disks are, which not every user's PATH has.
    format!("{}:{path}:/usr/sbin:/sbin", first.display())
}

/// IMDSv2, as far as a host asks; lives as long as the test.
fn metadata_service() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream));
        }
    });
    url
}

fn answer(stream: TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let mut request = String::new();
        reader.read_line(&mut request).ok().filter(|n| *n > 0)?;
        let mut line = String::new();
        while line.trim() != "" || line.is_empty() {
            line.clear();
            reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        }
        let (status, body) = match request.split(' ').nth(1)? {
            "/latest/api/token" => ("200 OK", "a-token"),
            "/latest/meta-data/instance-id" => ("200 OK", INSTANCE),
            "/latest/meta-data/placement/availability-zone" => ("200 OK", "us-east-1a"),
            _ => ("404 Not Found", ""),
        };
        let length = body.len();
        write!(
            &stream,
            "HTTP/1.1 {status}\r\nx-aws-ec2-metadata-token-ttl-seconds: 21600\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .ok()?;
    }
}

impl Machine {
    fn enter(folder: PathBuf) -> Self {
        for sub in ["dev", "block", "units", "bin", "mnt"] {
            fs::create_dir_all(folder.join(sub)).unwrap();
        }
        let systemctl = folder.join("bin/systemctl");
        fs::write(&systemctl, SYSTEMCTL).unwrap();
        fs::set_permissions(&systemctl, fs::Permissions::from_mode(0o755)).unwrap();
        let dev = folder.join("dev");
        run(
            "mount",
            &["-t", "tmpfs", "-o", "mode=755,dev", "none", text(&dev)],
        );
        for node in ["null", "zero", "full", "random", "urandom", "loop-control"] {
            run("cp", &["-a", &format!("/dev/{node}"), text(&dev)]);
        }
        for minor in 0..64 {
            let node = dev.join(format!("loop{minor}"));
            run("mknod", &[text(&node), "b", "7", &minor.to_string()]);
        }
        run("mount", &["--bind", text(&dev), "/dev"]);
        run(
            "mount",
            &["--bind", text(&folder.join("block")), "/sys/block"],
        );
        run("mount", &["-t", "tmpfs", "none", "/run"]);
        Self {
            folder,
            held: RefCell::default(),
        }
    }

    /// Below this, mount points are free to take.
    pub(crate) fn mount_point(&self, name: &str) -> PathBuf {
        self.folder.join("mnt").join(name)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A group with one volume `data` at `/dev/sdf`, mounted at `mnt/data`.
    pub(crate) fn spec(&self, filesystem: &str, more: &str) -> GroupSpec {
        let mount = self.mount_point("data");
        let text = format!(
            "[[group]]\nname = \"db\"\n[[group.volume]]\nname = \"data\"\ndevice = \"/dev/sdf\"\nmount = \"{}\"\nfilesystem = \"{filesystem}\"\n{more}",
            mount.display()
        );
        spec::parse("test", &text).unwrap().groups.remove(0)
    }

    /// A host whose freezes are held by the real program.
    pub(crate) fn host(&self) -> LinuxHost {
        LinuxHost::with_guard(env!("CARGO_BIN_EXE_rehome"))
    }

    /// A blank volume that the kernel does not show yet.
    pub(crate) fn volume(&self, volume: &str, mib: u64) -> Disk {
        let image = self.folder.join(format!("{volume}.img"));
        File::create(&image).unwrap().set_len(mib << 20).unwrap();
        self.volume_of(volume, image)
    }

    /// A volume with these partitions: first sector and number of sectors.
    pub(crate) fn partitioned(&self, volume: &str, mib: u64, parts: &[(u32, u32)]) -> Disk {
        let image = self.folder.join(format!("{volume}.img"));
        let mut file = File::create(&image).unwrap();
        file.set_len(mib << 20).unwrap();
        file.write_all(&partition_table(parts)).unwrap();
        drop(file);
        self.volume_of(volume, image)
    }

    /// A volume made from a snapshot: the disk of another, byte by byte.
    pub(crate) fn copy_of(&self, disk: &Disk, volume: &str) -> Disk {
        let image = self.folder.join(format!("{volume}.img"));
        run("cp", &["--sparse=always", text(&disk.image), text(&image)]);
        self.volume_of(volume, image)
    }

    fn volume_of(&self, volume: &str, image: PathBuf) -> Disk {
        let device = run("losetup", &["--find", "--show", text(&image)]);
        Disk {
            volume: volume.to_owned(),
            minor: self.hold(device.trim()),
            image,
        }
    }

    /// From now on this loop device goes with the last that has it open.
    fn hold(&self, device: &str) -> u32 {
        self.held.borrow_mut().push(File::open(device).unwrap());
        run("losetup", &["--detach", device]);
        device.strip_prefix("/dev/loop").unwrap().parse().unwrap()
    }

    /// The kernel shows it, under this name.
    pub(crate) fn plug(&self, disk: &Disk, name: &str) {
        let sys = self.show(disk, name);
        fs::write(sys.join("device/model"), format!("{MODEL}              \n")).unwrap();
        let serial = disk.volume.replace('-', "");
        fs::write(sys.join("device/serial"), format!("{serial}\n")).unwrap();
    }

    /// A Xen kernel shows it: no serial number, but the hypervisor's.
    pub(crate) fn plug_xen(&self, disk: &Disk, name: &str, vbd: u32) {
        let sys = self.show(disk, name);
        fs::write(sys.join("device/nodename"), format!("device/vbd/{vbd}\n")).unwrap();
    }

    fn show(&self, disk: &Disk, name: &str) -> PathBuf {
        let sys = self.folder.join("block").join(name);
        fs::create_dir_all(sys.join("device")).unwrap();
        fs::write(sys.join("dev"), format!("7:{}\n", disk.minor)).unwrap();
        let sectors = fs::metadata(&disk.image).unwrap().len() / 512;
        fs::write(sys.join("size"), format!("{sectors}\n")).unwrap();
        self.node(name, &format!("7:{}", disk.minor));
        sys
    }

    pub(crate) fn node(&self, name: &str, number: &str) {
        let node = Path::new("/dev").join(name);
        let _ = fs::remove_file(&node);
        let (major, minor) = number.trim().split_once(':').unwrap();
        run("mknod", &[text(&node), "b", major, minor]);
    }

    pub(crate) fn unplug(&self, name: &str) {
        fs::remove_dir_all(self.folder.join("block").join(name)).unwrap();
        fs::remove_file(Path::new("/dev").join(name)).unwrap();
    }

    /// One of its partitions, as a kernel shows it that read the table.
    pub(crate) fn show_partition(&self, disk: &Disk, name: &str, number: u32, part: (u32, u32)) {
        let (first, sectors) = part;
        let device = run(
            "losetup",
            &[
                "--find",
                "--show",
                &format!("--offset={}", u64::from(first) * 512),
                &format!("--sizelimit={}", u64::from(sectors) * 512),
                text(&disk.image),
            ],
        );
        let part = self.hold(device.trim());
        let partition = self.folder.join(format!("block/{name}/{name}p{number}"));
        fs::create_dir_all(&partition).unwrap();
        let facts = [
            ("dev", format!("7:{part}")),
            ("size", sectors.to_string()),
            ("partition", number.to_string()),
        ];
        for (file, value) in facts {
            fs::write(partition.join(file), format!("{value}\n")).unwrap();
        }
        self.node(&format!("{name}p{number}"), &format!("7:{part}"));
    }

    pub(crate) fn grow(&self, disk: &Disk, name: &str, mib: u64) {
        let image = File::options().write(true).open(&disk.image).unwrap();
        image.set_len(mib << 20).unwrap();
        run(
            "losetup",
            &["--set-capacity", &format!("/dev/loop{}", disk.minor)],
        );
        self.show(disk, name);
    }

    /// What a unit will do, or is: `active`, `stuck`, `broken`.
    pub(crate) fn unit(&self, unit: &str, state: &str) {
        let units = self.folder.join("units");
        match state {
            "active" => fs::write(units.join(unit), "active\n").unwrap(),
            mark => fs::write(units.join(format!("{unit}.{mark}")), "").unwrap(),
        }
    }

    /// What systemd was told to do.
    pub(crate) fn orders(&self) -> Vec<String> {
        let log = fs::read_to_string(self.folder.join("systemctl.log")).unwrap_or_default();
        let orders = log.lines().filter(|line| !line.starts_with("is-active"));
        orders.map(str::to_owned).collect()
    }
}

impl Disk {
    pub(crate) fn loop_device(&self) -> String {
        format!("/dev/loop{}", self.minor)
    }
}

/// The first sector of a disk, as it has been since 1983.
pub(crate) fn partition_table(parts: &[(u32, u32)]) -> Vec<u8> {
    let mut sector = vec![0; 512];
    for (number, (first, sectors)) in parts.iter().enumerate() {
        let entry = &mut sector[446 + 16 * number..];
        entry[4] = 0x83;
        entry[8..12].copy_from_slice(&first.to_le_bytes());
        entry[12..16].copy_from_slice(&sectors.to_le_bytes());
    }
    sector[510..].copy_from_slice(&[0x55, 0xAA]);
    sector
}

/// Says past the capture of what passing tests say that something was left out.
pub(crate) fn leave_out(what: &str) {
    let line = format!("LEFT OUT: {what}\n");
    io::stderr().write_all(line.as_bytes()).unwrap();
}

/// Growing a mounted ext4 is one of the few things that root may lack.
pub(crate) fn may_resize() -> bool {
    const CAP_SYS_RESOURCE: u64 = 1 << 24;
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let mine = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    u64::from_str_radix(mine.unwrap().trim(), 16).unwrap() & CAP_SYS_RESOURCE != 0
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Runs a program that has to succeed; what it printed.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let ended = Command::new(program).args(arguments).output().unwrap();
    assert!(
        ended.status.success(),
        "{program} {arguments:?}: {}",
        said(&ended)
    );
    String::from_utf8(ended.stdout).unwrap()
}

pub(crate) fn said(ended: &Output) -> String {
    let out = String::from_utf8_lossy(&ended.stdout);
    let err = String::from_utf8_lossy(&ended.stderr);
    format!("{out}{err}")
}
