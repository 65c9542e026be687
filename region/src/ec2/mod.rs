//! EC2's side of the wire: which action, and what comes due.

pub(crate) mod index;
pub(crate) mod instances;
pub(crate) mod tokens;

use jiff::Timestamp;

use crate::Region;
use crate::engine::Due;
use crate::wire::error::ApiError;
use crate::wire::query::Params;
use crate::wire::xml::Xml;

/// Answers one action: what stands beside `<requestId>`.
pub(crate) fn handle(
    _region: &mut Region,
    _caller: &str,
    action: &str,
    _params: &Params,
    _now: Timestamp,
) -> Result<Xml, ApiError> {
    Err(ApiError::unknown_action(action))
}

pub(crate) fn due(_region: &mut Region, _due: Due, _now: Timestamp) {}

/// The dark zone that keeps this from happening, if there is one.
pub(crate) fn dark_zone_of(_region: &Region, _due: &Due) -> Option<String> {
    None
}
