//! The instance metadata service, version 2.

use jiff::Timestamp;

use crate::Region;
use crate::wire::{Request, Response};

pub(crate) fn handle(
    _region: &mut Region,
    _caller: &str,
    _request: &Request,
    _now: Timestamp,
) -> Response {
    Response::new(404, "text/plain", "")
}
