//! How a configuration is found and read: TOML into the checked shape, or one
//! message.

use std::ffi::OsString;
use std::io::Read as _;
use std::path::Path;

use jiff::SignedDuration;
use toml::de::DeTable;

use super::error::ConfigError;
use super::group;
use super::reader::{Item, Source, Table};
use super::{Config, Wake};

/// Nobody writes this much by hand; a wrong file is told from a long one.
const LARGEST: u64 = 1 << 20;

/// What the environment's TOML is called in messages.
const ENVIRONMENT: &str = "$REHOME_CONFIG";

/// Reads the configuration from the file, or else from the text that the
/// caller found in the environment's `REHOME_CONFIG`.
pub fn load(path: Option<&Path>, environment: Option<OsString>) -> Result<Config, ConfigError> {
    if let Some(path) = path {
        let file = path.display().to_string();
        let bytes = read(path).map_err(|says| ConfigError::of(&file, says))?;
        return parse(&file, &decode(&file, bytes)?);
    }
    match environment {
        Some(text) if !text.is_empty() => {
            let bytes = text.into_encoded_bytes();
            parse(ENVIRONMENT, &decode(ENVIRONMENT, bytes)?)
        }
        _ => Err(ConfigError::nowhere(
            "no configuration; name a file with --config FILE, or put the TOML itself into $REHOME_CONFIG",
        )),
    }
}

/// Reads a configuration from its text; `file` is its name in messages.
pub fn parse(file: &str, text: &str) -> Result<Config, ConfigError> {
    let source = Source { file, text };
    let document = DeTable::parse(text).map_err(|error| syntax(&source, &error))?;
    let root = Table::root(source, &document, &["group", "wake"])?;
    let example = "[[group]] with name = \"orders-db\"";
    let Some(list) = root.get("group") else {
        return Err(ConfigError::of(
            file,
            format!("group: there is none; a configuration has at least one {example}"),
        ));
    };
    let tables = list.tables(group::KEYS)?;
    if tables.is_empty() {
        return Err(list.refuse(format!("the list is empty; write at least one {example}")));
    }
    let mut once = group::OnceAmongGroups::new();
    let groups = tables.iter().map(|table| group::read(table, &mut once));
    Ok(Config {
        groups: groups.collect::<Result<_, _>>()?,
        wake: root
            .get("wake")
            .map(|item| wake(&item))
            .transpose()?
            .unwrap_or_default(),
    })
}

fn wake(item: &Item<'_>) -> Result<Wake, ConfigError> {
    let table = item.table(&["sqs_queue_url", "poll_every"])?;
    let mut wake = Wake::default();
    if let Some(item) = table.get("sqs_queue_url") {
        let url = item.text("https://sqs.eu-west-1.amazonaws.com/123456789012/rehome")?;
        let host = url
            .strip_prefix("https://")
            .or_else(|| url.strip_prefix("http://"));
        let whole = host.is_some_and(|host| !host.starts_with('/') && !host.is_empty());
        if !whole || url.contains(char::is_whitespace) {
            return Err(item.refuse(format!(
                "\"{url}\" is no queue URL; it begins with https:// (or http://)"
            )));
        }
        wake.sqs_queue_url = Some(url.to_owned());
    }
    if let Some(item) = table.get("poll_every") {
        wake.poll_every = item.duration("15s")?;
        if wake.poll_every < SignedDuration::from_secs(1) {
            return Err(item.refuse("must be at least \"1s\""));
        }
    }
    Ok(wake)
}

/// What the TOML parser says, on one line, with the words it stumbled over.
fn syntax(source: &Source<'_>, error: &toml::de::Error) -> ConfigError {
    let says = error
        .message()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let start = error.span().map_or(0, |span| span.start);
    let line = source.line(start);
    let near = source
        .text
        .lines()
        .nth(line.saturating_sub(1))
        .unwrap_or_default();
    let visible = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let near: String = near.trim().chars().take(60).map(visible).collect();
    let near = if near.is_empty() {
        String::new()
    } else {
        format!(", at: {near}")
    };
    ConfigError::at(source.file, line, format!("this is not TOML: {says}{near}"))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            "there is no such file; --config names the configuration".to_owned()
        }
        std::io::ErrorKind::IsADirectory => {
            "this is a directory; --config names the file itself".to_owned()
        }
        _ => format!("cannot be read: {error}"),
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    Ok(bytes)
}

fn decode(file: &str, bytes: Vec<u8>) -> Result<String, ConfigError> {
    if bytes.len() as u64 > LARGEST {
        return Err(ConfigError::of(
            file,
            "is larger than 1 MiB, which no configuration is; is it the right file?",
        ));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let newlines = error
            .as_bytes()
            .iter()
            .take(good)
            .filter(|byte| **byte == b'\n');
        ConfigError::at(
            file,
            1 + newlines.count(),
            "is not UTF-8 text; save the file as UTF-8",
        )
    })
}

#[cfg(test)]
mod tests;
