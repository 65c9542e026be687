//! Where does a live drill take place? In namespaces of its own: nothing of the
//! machine's network, mounts or processes is touched, and all of it ends with
//! the drill, however that ends.
//!
//! The process that a person started waits outside. When it dies, the kernel
//! kills `unshare` (its parent's death signal), and with it process 1 of the
//! nest; with process 1 end all processes in it, with them the mounts and the
//! network, with the mounts the loop devices (they clear themselves), and with
//! those the files behind them, which have no name any more.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::tool::{self, failed};
use super::{LiveError, needs};

/// Everything the nest keeps in memory; the machine's own /run is hidden below.
const TOP: &str = "/run";
const STORE: &str = "/run/store";
/// Sparse: what is used are the blocks that PostgreSQL wrote.
const STORE_SIZE: &str = "64G";

/// Where AWS is: every instance's gateway, in one large subnet.
pub(super) const GATEWAY: &str = "10.255.255.254";
const SUBNET_BITS: &str = "8";
pub(super) const BRIDGE: &str = "aws0";
/// Where EC2 has its metadata service.
const METADATA: &str = "169.254.169.254/32";

/// Runs `rehome ARGUMENTS` in a new nest, and returns its exit code.
pub fn descend(arguments: &[String]) -> Result<u8, LiveError> {
    let what = "cannot start the drill in namespaces of its own";
    let own = std::env::current_exe().map_err(failed(what))?;
    let status = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--", "unshare"])
        .args(["--mount", "--net", "--pid", "--ipc", "--uts"])
        .args(["--fork", "--kill-child=KILL", "--mount-proc", "--"])
        .arg(own)
        .args(arguments)
        .status()
        .map_err(failed(what))?;
    // A signal that ended it has no exit code.
    Ok(status
        .code()
        .map_or(1, |code| u8::try_from(code).unwrap_or(1)))
}

/// The nest from the inside, furnished.
#[derive(Debug)]
pub(super) struct Nest {
    /// Volumes and snapshots: a file system that clones files in an instant.
    pub(super) store: PathBuf,
    /// One folder for each instance.
    pub(super) machines: PathBuf,
    /// The program that instances run.
    pub(super) program: PathBuf,
    /// PostgreSQL's programs.
    pub(super) server: PathBuf,
}

impl Nest {
    pub(super) fn furnish() -> Result<Self, LiveError> {
        if std::process::id() != 1 {
            return Err(LiveError::Refused(
                "--inside is for the drill itself: start it with `rehome drill --live`".to_owned(),
            ));
        }
        let server = needs::server().ok_or_else(|| {
            LiveError::Refused("this machine lacks PostgreSQL's server".to_owned())
        })?;
        tool::run(&["mount", "-t", "tmpfs", "-o", "mode=755", "nest", TOP])?;
        let top = Path::new(TOP);
        let nest = Self {
            store: STORE.into(),
            machines: top.join("machines"),
            program: top.join("rehome"),
            server,
        };
        for folder in [&nest.store, &nest.machines, &top.join("netns")] {
            let what = format!("cannot make the folder {}", folder.display());
            fs::create_dir_all(folder).map_err(failed(what))?;
        }
        fs::copy("/proc/self/exe", &nest.program).map_err(failed("cannot copy this program"))?;
        connect()?;
        shelve()?;
        Ok(nest)
    }
}

/// The region's side of the network.
fn connect() -> Result<(), LiveError> {
    let gateway = format!("{GATEWAY}/{SUBNET_BITS}");
    for line in [
        ["link", "set", "lo", "up"].as_slice(),
        &["link", "add", BRIDGE, "type", "bridge"],
        &["address", "add", &gateway, "dev", BRIDGE],
        &["address", "add", METADATA, "dev", BRIDGE],
        &["link", "set", BRIDGE, "up"],
    ] {
        tool::run(&[&["ip"], line].concat())?;
    }
    Ok(())
}

/// XFS with reflinks, in a sparse file that loses its name at once: whatever
/// happens, its blocks are free when the nest is gone.
fn shelve() -> Result<(), LiveError> {
    let image = format!("/var/tmp/rehome-drill-{}.xfs", fastrand::u64(..));
    tool::run(&["truncate", "--size", STORE_SIZE, &image])?;
    let made = tool::run(&["mkfs.xfs", "-q", "-m", "reflink=1", &image])
        .and_then(|_| tool::run(&["mount", "-o", "loop,noatime", &image, STORE]));
    fs::remove_file(&image).map_err(failed(format!("cannot remove {image}")))?;
    made.map(|_| ())
}

/// How an address in the subnet is written for `ip`.
pub(super) fn in_subnet(address: &str) -> String {
    format!("{address}/{SUBNET_BITS}")
}
