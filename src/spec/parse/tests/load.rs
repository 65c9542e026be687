//! Where does a configuration come from, and what is said when it does not?

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use super::super::*;

fn written(name: &str, bytes: &[u8]) -> PathBuf {
    let name = format!("rehome-{}-{name}", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn says(path: &Path) -> String {
    let error = load(Some(path), None).unwrap_err().to_string();
    error.replace(&path.display().to_string(), "FILE")
}

#[test]
fn says_where_a_configuration_may_come_from() {
    for environment in [None, Some(OsString::new())] {
        assert_eq!(
            load(None, environment).unwrap_err().to_string(),
            "no configuration; name a file with --config FILE, or put the TOML itself into $REHOME_CONFIG",
        );
    }
}

#[test]
fn takes_the_environment_only_without_a_file() {
    let good = super::volume("");
    assert!(load(None, Some(good.clone().into())).is_ok());
    assert_eq!(
        load(None, Some("[[group]]".into()))
            .unwrap_err()
            .to_string(),
        "$REHOME_CONFIG:1: group.name: is missing; write name = \"orders-db\"",
    );
    let path = written("good.toml", good.as_bytes());
    assert!(load(Some(&path), Some("nonsense".into())).is_ok());
    std::fs::remove_file(path).unwrap();
}

#[test]
fn refuses_files_that_are_none() {
    let missing = std::env::temp_dir().join("rehome-there-is-no-such-file.toml");
    assert_eq!(
        says(&missing),
        "FILE: there is no such file; --config names the configuration"
    );
    assert_eq!(
        says(&std::env::temp_dir()),
        "FILE: this is a directory; --config names the file itself"
    );
    let path = written("latin1.toml", b"[[group]]\nname = \"caf\xe9\"\n");
    assert_eq!(
        says(&path),
        "FILE:2: is not UTF-8 text; save the file as UTF-8"
    );
    std::fs::remove_file(path).unwrap();
    let path = written("large.toml", &vec![b'\n'; (1 << 20) + 1]);
    assert_eq!(
        says(&path),
        "FILE: is larger than 1 MiB, which no configuration is; is it the right file?"
    );
    std::fs::remove_file(path).unwrap();
}
