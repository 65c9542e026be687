//! SQS's side of the wire.

use jiff::Timestamp;

use crate::Region;
use crate::wire::error::{self, ApiError};
use crate::wire::{self, Request, Response, Service};

#[derive(Clone, Debug)]
pub struct Queue {
    pub name: String,
}

/// Makes the queue `events`, which is there from the beginning.
pub(crate) fn open(region: &mut Region, _now: Timestamp) {
    let name = "events".to_owned();
    region.model.queues.insert(name.clone(), Queue { name });
}

pub(crate) fn handle(
    _region: &mut Region,
    _caller: &str,
    request: &Request,
    _now: Timestamp,
) -> Response {
    error::respond(
        Service::Sqs,
        &ApiError::unknown_action(&wire::action(request)),
        "",
    )
}

/// An error made up by fault injection.
pub(crate) fn refuse(error: &ApiError) -> Response {
    error::respond(Service::Sqs, error, "")
}
