//! Which part of a long answer comes now?

use super::invalid;
use crate::wire::error::ApiError;
use crate::wire::query::Params;

/// No describe of Auto Scaling hands out more at once.
const RECORDS_MAX: u64 = 100;

/// The page that `MaxRecords` and `NextToken` ask for, and the token of the next
/// one. A token names the last thing that was shown, so what is added in between
/// neither repeats nor hides the rest; if that thing is gone, the token is refused.
pub(crate) fn page<'a, T>(
    params: &Params,
    all: &'a [T],
    default: u64,
    key: impl Fn(&T) -> String,
) -> Result<(&'a [T], Option<String>), ApiError> {
    let size = records_max(params, default)?;
    let start = match params.get("NextToken").filter(|token| !token.is_empty()) {
        None => 0,
        Some(token) => {
            let last = all.iter().position(|item| hex(&key(item)) == token);
            let unknown = || {
                ApiError::new(
                    "InvalidNextToken",
                    "The specified NextToken value is not valid.",
                )
            };
            last.ok_or_else(unknown)? + 1
        }
    };
    let rest = all.get(start..).unwrap_or_default();
    let page = rest.get(..size).unwrap_or(rest);
    let next = page
        .last()
        .filter(|_| page.len() < rest.len())
        .map(|item| hex(&key(item)));
    Ok((page, next))
}

fn records_max(params: &Params, default: u64) -> Result<usize, ApiError> {
    let wanted = params
        .number("MaxRecords")
        .map_err(|_| invalid("MaxRecords must be a number"))?
        .unwrap_or(default);
    if wanted == 0 || wanted > RECORDS_MAX {
        let bound = if wanted == 0 {
            "greater than or equal to 1"
        } else {
            "less than or equal to 100"
        };
        return Err(invalid(format!(
            "1 validation error detected: Value '{wanted}' at 'maxRecords' failed to satisfy constraint: \
             Member must have value {bound}"
        )));
    }
    Ok(usize::try_from(wanted).unwrap_or(usize::MAX))
}

/// Opaque to callers, as a token should be.
fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::wire::Request;

    fn params(body: &str) -> Params {
        Params::of(&Request {
            body: body.as_bytes().to_vec(),
            ..Request::default()
        })
    }

    #[test]
    fn pages_follow_each_other_to_the_end() {
        let all = ["a", "b", "c"];
        let key = |item: &&str| (*item).to_owned();
        let (first, next) = page(&params("MaxRecords=2"), &all, 50, key).unwrap();
        assert_eq!(first, ["a", "b"]);
        let again = params(&format!("MaxRecords=2&NextToken={}", next.unwrap()));
        assert_eq!(page(&again, &all, 50, key).unwrap(), (&["c"][..], None));
    }

    #[test]
    fn foreign_tokens_and_sizes_are_refused() {
        let key = |item: &&str| (*item).to_owned();
        let code = |body: &str| page(&params(body), &["a"], 50, key).unwrap_err().code;
        assert_eq!(code("NextToken=zz"), "InvalidNextToken");
        assert_eq!(code("MaxRecords=101"), "ValidationError");
        assert_eq!(code("MaxRecords=many"), "ValidationError");
    }
}
