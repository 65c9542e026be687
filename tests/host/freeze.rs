//! A freeze ends: when it is let go, when its time is over, and when whoever
//! wanted it is killed.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rehome::host::Host as _;
use rehome::spec::GroupSpec;

use crate::machine::{Machine, run, said, text};
use crate::{block_on, on_a_machine, quiesce, serve, write};

const POLICY: &str = "[group.policy]\nfreeze = true\n";
/// Long enough for anything here on any machine.
const PATIENCE: u32 = 600;
const PAUSE: Duration = Duration::from_millis(100);
const OWNER: &str = "REHOME_HOST_OWNER";

fn prepared(machine: &Machine, filesystem: &str) -> GroupSpec {
    let spec = machine.spec(filesystem, POLICY);
    let disk = machine.volume("vol-0a", 320);
    machine.plug(&disk, "nvme1n1");
    serve(machine, &spec, "vol-0a");
    spec
}

/// A file system can be frozen once; what is free is left as it was.
fn is_frozen(point: &Path) -> bool {
    let tried = Command::new("fsfreeze")
        .args(["--freeze", text(point)])
        .output()
        .unwrap();
    if tried.status.success() {
        run("fsfreeze", &["--unfreeze", text(point)]);
        return false;
    }
    assert!(said(&tried).contains("busy"), "{}", said(&tried));
    true
}

async fn until_thawed(point: &Path) {
    for _ in 0..PATIENCE {
        if !is_frozen(point) {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("{} stays frozen", point.display());
}

fn can_be_written(point: &Path) {
    write(&point.join("after"), "written");
    assert_eq!(fs::read_to_string(point.join("after")).unwrap(), "written");
}

#[test]
fn ext4_holds_still_until_it_is_let_go() {
    on_a_machine(
        "freeze::ext4_holds_still_until_it_is_let_go",
        false,
        |machine| {
            holds_still(machine, "ext4");
        },
    );
}

#[test]
fn xfs_holds_still_until_it_is_let_go() {
    on_a_machine(
        "freeze::xfs_holds_still_until_it_is_let_go",
        true,
        |machine| {
            holds_still(machine, "xfs");
        },
    );
}

fn holds_still(machine: &Machine, filesystem: &str) {
    let spec = prepared(machine, filesystem);
    let point = machine.mount_point("data");
    block_on(async {
        let frozen = machine.host().freeze(&spec).await.unwrap();
        assert!(is_frozen(&point));
        assert!(frozen.thaw().await.unwrap(), "it held all the time");
        assert!(!is_frozen(&point));
    });
    can_be_written(&point);
}

#[test]
fn a_freeze_that_is_dropped_or_forgotten_ends() {
    on_a_machine(
        "freeze::a_freeze_that_is_dropped_or_forgotten_ends",
        false,
        |machine| {
            let spec = prepared(machine, "ext4");
            let point = machine.mount_point("data");
            block_on(async {
                drop(machine.host().freeze(&spec).await.unwrap());
                until_thawed(&point).await;
                let forgotten = machine.host().freeze(&spec).await.unwrap();
                until_thawed(&point).await;
                assert!(!forgotten.thaw().await.unwrap(), "its time was over");
            });
            can_be_written(&point);
        },
    );
}

/// What the process does that is about to be killed.
fn freeze_and_hang(machine: &Machine) -> ! {
    let spec = machine.spec("ext4", POLICY);
    block_on(async {
        let _frozen = machine.host().freeze(&spec).await.unwrap();
        std::io::stdout().write_all(b"frozen\n").unwrap();
        std::future::pending().await
    })
}

#[test]
fn a_freeze_outlives_nobody_who_is_killed() {
    let name = "freeze::a_freeze_outlives_nobody_who_is_killed";
    on_a_machine(name, false, |machine| {
        if std::env::var_os(OWNER).is_some() {
            freeze_and_hang(machine);
        }
        prepared(machine, "ext4");
        let point = machine.mount_point("data");
        let mut owner = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "freeze::a_freeze_outlives_nobody_who_is_killed",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(OWNER, "yes")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let mut output = owner.stdout.take().unwrap();
        while !said.contains("frozen\n") {
            let mut some = [0; 256];
            let read = output.read(&mut some).unwrap();
            assert!(read > 0, "it ended: {said}");
            said.push_str(&String::from_utf8_lossy(&some[..read]));
        }
        assert!(is_frozen(&point));
        run("kill", &["-KILL", &owner.id().to_string()]);
        owner.wait().unwrap();
        block_on(until_thawed(&point));
        can_be_written(&point);
    });
}

/// Should the guard be killed as well, whoever comes next thaws.
#[test]
fn whoever_comes_next_thaws() {
    on_a_machine("freeze::whoever_comes_next_thaws", false, |machine| {
        let spec = prepared(machine, "ext4");
        let point = machine.mount_point("data");
        let left_frozen = || {
            run("fsfreeze", &["--freeze", text(&point)]);
            assert!(is_frozen(&point));
        };
        left_frozen();
        block_on(machine.host().recover(&spec)).unwrap();
        assert!(!is_frozen(&point));

        left_frozen();
        let config = format!(
            "[[group]]\nname = \"db\"\n[[group.volume]]\nname = \"data\"\ndevice = \"/dev/sdf\"\nmount = \"{}\"\n{POLICY}",
            point.display()
        );
        let file = machine.file("rehome.toml");
        fs::write(&file, config).unwrap();
        run(
            env!("CARGO_BIN_EXE_rehome"),
            &["thaw", "--config", text(&file)],
        );
        assert!(!is_frozen(&point));

        left_frozen();
        quiesce(machine, &spec).unwrap();
    });
}

#[test]
fn the_freeze_of_somebody_else_is_theirs() {
    on_a_machine(
        "freeze::the_freeze_of_somebody_else_is_theirs",
        false,
        |machine| {
            let spec = prepared(machine, "ext4");
            let point = machine.mount_point("data");
            run("fsfreeze", &["--freeze", text(&point)]);
            let refused = block_on(machine.host().freeze(&spec))
                .unwrap_err()
                .to_string();
            assert!(refused.contains("busy"), "{refused}");
            assert!(is_frozen(&point));
            run("fsfreeze", &["--unfreeze", text(&point)]);
        },
    );
}

/// A folder that is no mount point belongs to the root disk.
#[test]
fn the_root_disk_is_never_frozen() {
    on_a_machine("freeze::the_root_disk_is_never_frozen", false, |machine| {
        let folder = machine.mount_point("data");
        fs::create_dir(&folder).unwrap();
        let refused = Command::new(env!("CARGO_BIN_EXE_rehome"))
            .args(["freeze-guard", "--seconds", "1", text(&folder)])
            .stdin(Stdio::piped())
            .output()
            .unwrap();
        assert_eq!(refused.status.code(), Some(1));
        assert!(
            said(&refused).contains("nothing is mounted at "),
            "{}",
            said(&refused)
        );
        let spec = machine.spec("ext4", POLICY);
        assert!(block_on(async { machine.host().freeze(&spec).await?.thaw().await }).unwrap());
    });
}
