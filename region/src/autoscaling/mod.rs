//! Auto Scaling's side of the wire.

pub mod model;
pub mod setup;

use jiff::Timestamp;

use crate::Region;
use crate::model::InstanceState;
use crate::wire::error::ApiError;
use crate::wire::query::Params;
use crate::wire::xml::Xml;

/// A change of a group that will come by itself.
#[derive(Clone, Debug)]
pub(crate) enum GroupDue {}

/// Answers one action: the inside of `<ActionResult>`.
pub(crate) fn handle(
    _region: &mut Region,
    _caller: &str,
    action: &str,
    _params: &Params,
    _now: Timestamp,
) -> Result<Xml, ApiError> {
    Err(ApiError::unknown_action(action))
}

pub(crate) fn due(_region: &mut Region, due: GroupDue, _now: Timestamp) {
    match due {}
}

/// What EC2 tells after something about an instance changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InstanceChange {
    State(InstanceState),
    /// User data begins to run.
    Booted,
    /// Status checks fail (true) or pass again.
    Impaired(bool),
    /// A spot interruption notice.
    SpotNotice,
}

/// Called by EC2 after each change, once; the instance need not be in a group.
pub(crate) fn instance_changed(
    _region: &mut Region,
    _instance: &str,
    _change: InstanceChange,
    _now: Timestamp,
) {
}

/// Called after a zone went dark or came back.
pub(crate) fn zone_changed(_region: &mut Region, _zone: &str, _dark: bool, _now: Timestamp) {}

/// Where an instance stands in its group, if it is in one: `InService`, `Pending:Wait` …
pub(crate) fn lifecycle_of(region: &Region, instance: &str) -> Option<String> {
    let member = region
        .model
        .groups
        .values()
        .find_map(|group| group.members.get(instance))?;
    Some(member.lifecycle.clone())
}
