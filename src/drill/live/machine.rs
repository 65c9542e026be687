//! What is an instance made of here? A network namespace with its own address,
//! a mount namespace with its own devices, and process and IPC namespaces that
//! end together with its first process.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::fs::{FileType, Mode};
use rustix::process::{Pid, Signal};

use super::LiveError;
use super::nest::{self, GATEWAY, Nest};
use super::store::Disk;
use super::tool::{self, failed};

const POWER_ON: &str = include_str!("guest/power-on.sh");
const SYSTEMCTL: &str = include_str!("guest/systemctl.sh");
/// What an EBS volume calls itself on the NVMe bus.
const MODEL: &str = "Amazon Elastic Block Store";
/// Character devices that every Linux has: name, major, minor.
const DEVICES: &[(&str, u32, u32)] = &[
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];
/// The name of the program that rehome is.
const AGENT: &str = "rehome";
/// Its subcommand that holds a file system frozen.
const GUARD: &[u8] = b"freeze-guard";

/// What every instance is launched with.
#[derive(Clone, Debug)]
pub(super) struct Image {
    /// rehome's configuration.
    pub(super) configuration: String,
    pub(super) region: String,
    pub(super) data_mount: String,
}

#[derive(Debug)]
pub(super) struct Machine {
    id: String,
    /// Its part of the nest: `dev`, `block` and `run` are what it sees as
    /// `/dev`, `/sys/block` and `/run`.
    top: PathBuf,
    /// The host's end of its network cable.
    cable: String,
    /// `unshare`, whose end is the end of the instance's first process.
    power: Child,
    /// Process 1 of the instance, as it is called out here.
    first: OnceCell<i32>,
    /// Volume → the disk and its name.
    disks: BTreeMap<String, (String, Disk)>,
    addresses: BTreeSet<String>,
}

impl Machine {
    /// Power on.
    pub(super) fn start(
        nest: &Nest,
        image: &Image,
        id: &str,
        address: &str,
    ) -> Result<Self, LiveError> {
        let top = nest.machines.join(id);
        install(nest, image, id, &top)?;
        let cable = plug_network(id, address)?;
        let folder = top.to_string_lossy().into_owned();
        let path = format!(
            "/run/bin:{}:{}",
            nest.server.display(),
            super::needs::FOLDERS
        );
        let console = fs::File::create(top.join("run/console.log"));
        let console = console.map_err(failed(format!("cannot write the console of {id}")))?;
        let power = Command::new("nsenter")
            .arg(format!("--net=/run/netns/{id}"))
            .args(["--", "setpriv", "--pdeathsig", "KILL", "--", "unshare"])
            .args(["--mount", "--pid", "--ipc", "--uts", "--fork"])
            .args(["--kill-child=KILL", "--mount-proc", "--", "bash"])
            .args([
                &format!("{folder}/run/power-on"),
                &folder,
                &image.data_mount,
            ])
            .env_clear()
            .env("PATH", path)
            .env("AWS_ENDPOINT_URL", format!("http://{GATEWAY}"))
            .env("AWS_REGION", &image.region)
            .env("RUST_LOG", "info")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(console)
            .spawn()
            .map_err(failed(format!("cannot start {id}")))?;
        Ok(Self {
            id: id.to_owned(),
            top,
            cable,
            power,
            first: OnceCell::new(),
            disks: BTreeMap::new(),
            addresses: BTreeSet::new(),
        })
    }

    pub(super) fn disks(&self) -> impl Iterator<Item = &str> {
        self.disks.keys().map(String::as_str)
    }

    /// The disk shows, under a name that says nothing and a serial number that
    /// says all.
    pub(super) fn plug(&mut self, volume: &str, disk: Disk) -> Result<(), LiveError> {
        let taken: BTreeSet<&str> = self.disks.values().map(|(name, _)| name.as_str()).collect();
        let free = (1_u32..).map(|n| format!("nvme{n}n1"));
        let name = free
            .into_iter()
            .find(|name| !taken.contains(name.as_str()))
            .unwrap_or_default();
        let what = || format!("cannot show {volume} to {}", self.id);
        let node = self.top.join("dev").join(&name);
        let number = rustix::fs::makedev(disk.number.0, disk.number.1);
        make_node(&node, FileType::BlockDevice, 0o660, number)?;
        // It appears with everything it has, as the kernel lets a disk appear.
        let draft = self.top.join(format!("{name}.new"));
        fs::create_dir_all(draft.join("device")).map_err(failed(what()))?;
        for (file, text) in [
            ("device/model", format!("{MODEL:<40}\n")),
            ("device/serial", format!("{}\n", volume.replace('-', ""))),
            ("size", format!("{}\n", disk.sectors)),
            ("dev", format!("{}\n", disk.name())),
        ] {
            fs::write(draft.join(file), text).map_err(failed(what()))?;
        }
        fs::rename(&draft, self.top.join("block").join(&name)).map_err(failed(what()))?;
        self.disks.insert(volume.to_owned(), (name, disk));
        Ok(())
    }

    /// The disk is gone. A machine that still has it mounted writes to nobody.
    pub(super) fn unplug(&mut self, volume: &str) -> Result<(), LiveError> {
        let Some((name, _disk)) = self.disks.remove(volume) else {
            return Ok(());
        };
        let what = || format!("cannot take {volume} from {}", self.id);
        fs::remove_dir_all(self.top.join("block").join(&name)).map_err(failed(what()))?;
        fs::remove_file(self.top.join("dev").join(&name)).map_err(failed(what()))
    }

    /// Mount point → volume, as the kernel of the machine has it.
    pub(super) fn mounts(&self) -> BTreeMap<String, String> {
        let Some(first) = self.first_process() else {
            return BTreeMap::new();
        };
        let table = fs::read_to_string(format!("/proc/{first}/mountinfo")).unwrap_or_default();
        let numbers: BTreeMap<String, &str> = self
            .disks
            .iter()
            .map(|(volume, (_, disk))| (disk.name(), volume.as_str()))
            .collect();
        let mounts = table.lines().filter_map(|line| {
            let mut fields = line.split(' ');
            let volume = numbers.get(fields.nth(2)?)?;
            Some((fields.nth(1)?.to_owned(), (*volume).to_owned()))
        });
        mounts.collect()
    }

    /// What the stand-in for systemd says of a unit.
    pub(super) fn unit(&self, name: &str) -> String {
        let state = fs::read_to_string(self.top.join("run/units").join(name));
        state.unwrap_or_default().trim().to_owned()
    }

    /// The agent's process and its subcommand: `bootstrap` or `daemon`.
    pub(super) fn agent(&self) -> Option<(Pid, String)> {
        let first = self.first_process()?;
        children_of(first).into_iter().find_map(|process| {
            let line = fs::read(format!("/proc/{process}/cmdline")).ok()?;
            let mut words = line.split(|byte| *byte == 0);
            let program = String::from_utf8_lossy(words.next()?).into_owned();
            let subcommand = String::from_utf8_lossy(words.next()?).into_owned();
            let is_agent = Path::new(&program).file_name()? == AGENT
                && ["bootstrap", "daemon"].contains(&subcommand.as_str());
            is_agent.then_some((Pid::from_raw(process)?, subcommand))
        })
    }

    /// As the kernel's own killer would. None: there was no agent; else whether
    /// it held a file system frozen just then.
    pub(super) fn kill_agent(&self) -> Option<bool> {
        let (process, _) = self.agent()?;
        let helpers = children_of(process.as_raw_nonzero().get());
        let frozen = helpers.into_iter().any(|helper| {
            let line = fs::read(format!("/proc/{helper}/cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).any(|word| word == GUARD)
        });
        let killed = rustix::process::kill_process(process, Signal::KILL).is_ok();
        killed.then_some(frozen)
    }

    /// The address answers here, or no longer does.
    pub(super) fn set_address(&mut self, address: &str, here: bool) -> Result<(), LiveError> {
        let changes = here != self.addresses.contains(address);
        if !changes {
            return Ok(());
        }
        let verb = if here { "add" } else { "delete" };
        let host = format!("{address}/32");
        tool::run(&[
            "ip", "-netns", &self.id, "address", verb, &host, "dev", "lo",
        ])?;
        if here {
            self.addresses.insert(address.to_owned());
        } else {
            self.addresses.remove(address);
        }
        Ok(())
    }

    /// Pulls the network cable, or plugs it in again.
    pub(super) fn set_network(&self, up: bool) -> Result<(), LiveError> {
        let state = if up { "up" } else { "down" };
        tool::run(&["ip", "link", "set", &self.cable, state]).map(|_| ())
    }

    /// The end: every process is killed where it stands.
    pub(super) fn stop(&mut self) -> Result<(), LiveError> {
        self.thaw();
        let ended = failed(format!("cannot end {}", self.id));
        self.power
            .kill()
            .and_then(|()| self.power.wait())
            .map_err(ended)?;
        self.disks.clear();
        tool::run(&["ip", "link", "delete", &self.cable])?;
        tool::run(&["ip", "netns", "delete", &self.id]).map(|_| ())
    }

    /// A real kernel takes a freeze with it. This one is everybody's: it would
    /// keep a frozen file system, and its disk, for ever.
    fn thaw(&self) {
        let Some(first) = self.first_process() else {
            return;
        };
        for point in self.mounts().keys() {
            let space = format!("--mount=/proc/{first}/ns/mnt");
            // That it was not frozen is what it says as a rule.
            let _ = tool::run(&["nsenter", &space, "--", "fsfreeze", "--unfreeze", point]);
        }
    }

    /// The last lines of what rehome and PostgreSQL said there.
    pub(super) fn last_words(&self, lines: usize) -> Vec<String> {
        last_words(&self.top, lines)
    }

    fn first_process(&self) -> Option<i32> {
        if let Some(known) = self.first.get() {
            return Some(*known);
        }
        let shell = i32::try_from(self.power.id()).ok()?;
        let first = children_of(shell).into_iter().next()?;
        Some(*self.first.get_or_init(|| first))
    }
}

fn last_words(top: &Path, lines: usize) -> Vec<String> {
    let mut said = Vec::new();
    for log in ["run/console.log", "run/postgresql/main.log"] {
        let text = fs::read(top.join(log)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let all: Vec<&str> = text.lines().collect();
        let from = all.len().saturating_sub(lines);
        said.extend(
            all.get(from..)
                .unwrap_or_default()
                .iter()
                .map(|line| (*line).to_owned()),
        );
    }
    said
}

/// Its folders, its devices, its programs.
fn install(nest: &Nest, image: &Image, id: &str, top: &Path) -> Result<(), LiveError> {
    let what = || format!("cannot furnish {id}");
    let run = top.join("run");
    for folder in ["dev/shm", "block", "run/bin", "run/units", "run/postgresql"] {
        fs::create_dir_all(top.join(folder)).map_err(failed(what()))?;
    }
    let shared = fs::Permissions::from_mode(0o1777);
    fs::set_permissions(top.join("dev/shm"), shared.clone()).map_err(failed(what()))?;
    fs::set_permissions(run.join("postgresql"), shared).map_err(failed(what()))?;
    for (name, major, minor) in DEVICES {
        let number = rustix::fs::makedev(*major, *minor);
        make_node(
            &top.join("dev").join(name),
            FileType::CharacterDevice,
            0o666,
            number,
        )?;
    }
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        symlink(target, top.join("dev").join(name)).map_err(failed(what()))?;
    }
    fs::hard_link(&nest.program, run.join("bin").join(AGENT)).map_err(failed(what()))?;
    for (file, text) in [
        ("bin/systemctl", SYSTEMCTL),
        ("power-on", POWER_ON),
        ("rehome.toml", &image.configuration),
        ("name", id),
    ] {
        fs::write(run.join(file), text).map_err(failed(what()))?;
    }
    let program = fs::Permissions::from_mode(0o755);
    fs::set_permissions(run.join("bin/systemctl"), program).map_err(failed(what()))
}

fn make_node(path: &Path, kind: FileType, mode: u32, number: u64) -> Result<(), LiveError> {
    let what = format!("cannot make the device {}", path.display());
    rustix::fs::mknodat(
        rustix::fs::CWD,
        path,
        kind,
        Mode::from_raw_mode(mode),
        number,
    )
    .map_err(|errno| failed(what.clone())(errno.into()))?;
    // The caller's umask has taken something away.
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed(what))
}

/// A namespace, and a cable from it to the region's bridge.
fn plug_network(id: &str, address: &str) -> Result<String, LiveError> {
    // A device's name has at most 15 characters.
    let digits: String = id.chars().rev().take(12).collect();
    let cable = format!("v{digits}");
    let own = nest::in_subnet(address);
    tool::run(&["ip", "netns", "add", id])?;
    let peer = ["peer", "name", "eth0", "netns", id];
    let add = ["ip", "link", "add", &cable, "type", "veth"];
    tool::run(&[add.as_slice(), &peer].concat())?;
    tool::run(&["ip", "link", "set", &cable, "master", nest::BRIDGE, "up"])?;
    for line in [
        ["link", "set", "lo", "up"].as_slice(),
        &["address", "add", &own, "dev", "eth0"],
        &["link", "set", "eth0", "up"],
        &["route", "add", "default", "via", GATEWAY],
    ] {
        tool::run(&[&["ip", "-netns", id], line].concat())?;
    }
    Ok(cable)
}

/// Processes whose parent this is, by number.
fn children_of(parent: i32) -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let mut children: Vec<i32> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|process| parent_of(*process) == Some(parent))
        .collect();
    children.sort_unstable();
    children
}

/// `812 (rehome) S 1 …`: a name may have anything in it, even brackets.
fn parent_of(process: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    stat.rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(1)?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_child_is_found_by_its_parent() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        let process = i32::try_from(child.id()).unwrap();
        assert!(children_of(own).contains(&process));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn the_last_words_of_each_log_are_kept() {
        let top = std::env::temp_dir().join(format!("rehome-words-{}", std::process::id()));
        fs::create_dir_all(top.join("run/postgresql")).unwrap();
        fs::write(top.join("run/console.log"), "a\nb\nc\n").unwrap();
        fs::write(top.join("run/postgresql/main.log"), "d\n").unwrap();
        assert_eq!(last_words(&top, 2), ["b", "c", "d"]);
        fs::remove_dir_all(top).unwrap();
    }
}
