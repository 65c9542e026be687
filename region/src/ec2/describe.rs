//! Which resources does a describe show? By id the truth, else the index; in pages.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::filters::Filters;
use super::ids;
use super::resource::Resource;
use crate::wire::error::ApiError;
use crate::wire::query::Params;

/// One page of what was asked for.
#[derive(Debug)]
pub(crate) struct Page<'a, T> {
    pub(crate) items: Vec<&'a T>,
    pub(crate) next: Option<String>,
}

/// The lists a resource is read from.
pub(crate) struct Source<'a, T> {
    pub(crate) truth: &'a BTreeMap<String, T>,
    pub(crate) index: &'a BTreeMap<String, T>,
}

/// `by_id` is the parameter that lists ids. One bad id fails the whole request.
pub(crate) fn select<'a, T: Resource>(
    source: Source<'a, T>,
    params: &Params,
    by_id: &str,
    now: Timestamp,
) -> Result<Page<'a, T>, ApiError> {
    let filters = Filters::of::<T>(params)?;
    let wanted = params.list(by_id);
    let mut items: Vec<&T> = Vec::new();
    if wanted.is_empty() {
        items.extend(source.index.values());
    } else {
        for id in &wanted {
            items.push(ids::find(source.truth, id, now)?);
        }
    }
    items.retain(|item| filters.accept(*item));
    paginate(items, params, !wanted.is_empty())
}

fn paginate<'a, T: Resource>(
    mut items: Vec<&'a T>,
    params: &Params,
    by_id: bool,
) -> Result<Page<'a, T>, ApiError> {
    let most = params.number("MaxResults")?;
    if most.is_some() && by_id {
        return Err(ApiError::new(
            "InvalidParameterCombination",
            format!(
                "The parameter {}Ids cannot be used with the parameter maxResults",
                T::KIND.resource_type()
            ),
        ));
    }
    if let Some(most) = most.filter(|most| !(5..=1_000).contains(most)) {
        return Err(ApiError::new(
            "InvalidParameterValue",
            format!(
                "Value ( {most} ) for parameter maxResults is invalid. Expecting a value between 5 and 1000."
            ),
        ));
    }
    items.sort_by(|a, b| a.id().cmp(b.id()));
    if let Some(token) = params.get("NextToken").filter(|token| !token.is_empty()) {
        let last = token.strip_prefix(TOKEN).ok_or_else(|| {
            ApiError::new(
                "InvalidNextToken",
                format!("The token '{token}' is invalid"),
            )
        })?;
        items.retain(|item| item.id() > last);
    }
    let most = most
        .and_then(|most| usize::try_from(most).ok())
        .unwrap_or(usize::MAX);
    let more = items.len() > most;
    items.truncate(most);
    let next = items
        .last()
        .filter(|_| more)
        .map(|last| format!("{TOKEN}{}", last.id()));
    Ok(Page { items, next })
}

const TOKEN: &str = "after-";
