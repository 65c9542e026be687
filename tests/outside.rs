//! Does it work with software nobody here wrote? Plain `cargo test` names this
//! test as left out: it needs Python packages, which `tests/run` installs.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

#[test]
#[ignore = "needs boto3, the AWS command line and moto: tests/run installs them and runs this"]
fn the_stock_aws_command_line_boto3_and_moto_agree() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = project.join(".cache/venv/bin/python");
    assert!(
        python.exists(),
        "{} is not there: tests/run makes it",
        python.display()
    );
    let status = Command::new(python)
        .args(["-m", "pytest", "tests/python"])
        .env("REHOME_BIN", env!("CARGO_BIN_EXE_rehome"))
        .current_dir(project)
        .status()
        .unwrap();
    assert!(status.success());
}
