//! What is there, says PostgreSQL on the heir, through the Elastic IP? Every
//! row, every page it lies on, and every index.

use std::collections::BTreeSet;
use std::time::Duration;

use super::audit::{Audit, audit};
use super::client::{Book, Client};
use super::postgres::QueryError;
use super::{LiveError, needs, tool};

/// How long PostgreSQL may take to return the whole ledger.
const READ: Duration = Duration::from_secs(60);

/// Every page of the table is read, and its checksum with it; then every
/// table and index of the cluster is checked against each other.
pub(super) fn ask(
    client: &Client,
    instance: &str,
    gone: &BTreeSet<u64>,
    wrong: &mut Vec<String>,
) -> Result<Audit, LiveError> {
    let said_no = |error: QueryError| failed("the ledger", &error);
    // Promises made while it reads need not be in what it read.
    let acknowledged = client.book().acknowledged.clone();
    let (mut session, by) = client.read(READ).map_err(said_no)?;
    if by != instance {
        wrong.push(format!("{by} answers at the Elastic IP, not {instance}"));
    }
    session
        .query("SET enable_indexscan = off")
        .map_err(said_no)?;
    // One statement sees one instant, of both tables.
    let rows = session.query("SELECT n, (SELECT commits FROM tally) FROM ledger");
    let rows = rows.unwrap_or_else(|error| {
        wrong.push(format!("the ledger cannot be read: {error}"));
        Vec::new()
    });
    let tally = rows.first().and_then(|row| row.get(1)?.parse().ok());
    if tally != Some(rows.len()) {
        wrong.push(format!(
            "{} rows are there, and the tally says {tally:?}",
            rows.len()
        ));
    }
    let numbers = rows.iter().filter_map(|row| row.first()?.parse().ok());
    let rows: Vec<u64> = numbers.collect();
    wrong.extend(check_structures(&client.ip().to_string()));
    let book = Book {
        acknowledged,
        tried: client.book().tried,
        trouble: None,
    };
    Ok(audit(&book, gone, &rows))
}

pub(super) fn version(client: &Client) -> Result<String, LiveError> {
    let said_no = |error: QueryError| failed("PostgreSQL's version", &error);
    let (mut session, _) = client.read(READ).map_err(said_no)?;
    let rows = session.query("SHOW server_version").map_err(said_no)?;
    let version = rows.into_iter().flatten().next().unwrap_or_default();
    let number = version.split(' ').next().unwrap_or_default();
    Ok(format!("PostgreSQL {number}"))
}

pub(super) fn failed(what: &str, error: &QueryError) -> LiveError {
    LiveError::Stage {
        what: format!("could not ask for {what}"),
        why: error.to_string(),
    }
}

/// Every table and index of the cluster against each other; what is wrong.
fn check_structures(ip: &str) -> Option<String> {
    let program = needs::server()?.join("pg_amcheck");
    let program = program.to_string_lossy();
    let how = [
        "--all",
        "--install-missing",
        "--heapallindexed",
        "-h",
        ip,
        "-U",
        "postgres",
    ];
    let checked = tool::run(&[&[program.as_ref()], how.as_slice()].concat());
    checked.err().map(|error| error.to_string())
}
