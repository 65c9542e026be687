//! CloudWatch's side of the wire: alarms.

use jiff::Timestamp;

use crate::Region;
use crate::wire::error::{self, ApiError};
use crate::wire::{self, Request, Response, Service};

#[derive(Clone, Debug)]
pub struct Alarm {
    pub name: String,
}

#[derive(Clone, Debug)]
pub(crate) enum AlarmDue {}

pub(crate) fn handle(
    _region: &mut Region,
    _caller: &str,
    request: &Request,
    _now: Timestamp,
) -> Response {
    error::respond(
        Service::CloudWatch,
        &ApiError::unknown_action(&wire::action(request)),
        "",
    )
}

pub(crate) fn due(_region: &mut Region, due: AlarmDue, _now: Timestamp) {
    match due {}
}

/// An error made up by fault injection, in the protocol the caller speaks.
pub(crate) fn refuse(_request: &Request, error: &ApiError) -> Response {
    error::respond(Service::CloudWatch, error, "")
}
