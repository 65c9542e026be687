//! Where do logs go? To stderr: as lines for a person at a terminal, as JSON
//! for whatever collects them elsewhere.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

/// How much is said unless `RUST_LOG` says otherwise.
const DEFAULT: &str = "warn,rehome=info";

pub(super) fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    // Only a second start could fail, and then the first one's logs go on.
    let _ = if io::stderr().is_terminal() {
        lines.with_target(false).try_init()
    } else {
        lines.with_ansi(false).json().flatten_event(true).try_init()
    };
}
