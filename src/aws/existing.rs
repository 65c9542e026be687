//! Which of these ids exist? One unknown id fails a whole describe, so the ids
//! that AWS names as unknown are left out and the rest is asked again.

use super::{AwsError, Meaning};

pub(super) async fn existing<T>(
    ids: Vec<String>,
    read: impl AsyncFn(Vec<String>) -> Result<Vec<T>, AwsError>,
) -> Result<Vec<T>, AwsError> {
    let mut wanted = ids;
    while !wanted.is_empty() {
        let asked = wanted.len();
        match read(wanted.clone()).await {
            Ok(found) => return Ok(found),
            Err(error) if error.meaning != Meaning::NotFound => return Err(error),
            Err(error) => wanted.retain(|id| !error.names(id)),
        }
        if wanted.len() == asked {
            return one_by_one(wanted, read).await;
        }
    }
    Ok(Vec::new())
}

/// For an error that does not say which of the ids it means.
async fn one_by_one<T>(
    ids: Vec<String>,
    read: impl AsyncFn(Vec<String>) -> Result<Vec<T>, AwsError>,
) -> Result<Vec<T>, AwsError> {
    let mut all = Vec::new();
    for id in ids {
        match read(vec![id]).await {
            Ok(found) => all.extend(found),
            Err(error) if error.meaning == Meaning::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn missing(message: &str) -> AwsError {
        let mut error = AwsError::odd("look", "ec2:DescribeVolumes", message);
        error.meaning = Meaning::NotFound;
        error
    }

    async fn ask(named: bool, ids: &[&str]) -> (Vec<String>, usize) {
        let calls = RefCell::new(0);
        let ids = ids.iter().map(|id| (*id).to_owned()).collect();
        let found = existing(ids, async |ids: Vec<String>| {
            *calls.borrow_mut() += 1;
            match ids.iter().find(|id| id.starts_with("gone")) {
                None => Ok(ids),
                Some(id) if named => Err(missing(&format!("The volume '{id}' does not exist."))),
                Some(_) => Err(missing("No such volume.")),
            }
        })
        .await
        .unwrap();
        (found, calls.into_inner())
    }

    #[tokio::test]
    async fn a_named_stranger_costs_one_more_call() {
        assert_eq!(
            ask(true, &["a", "b"]).await,
            (vec!["a".to_owned(), "b".to_owned()], 1)
        );
        assert_eq!(
            ask(true, &["a", "gone1", "b"]).await,
            (vec!["a".to_owned(), "b".to_owned()], 2)
        );
        assert_eq!(ask(true, &["gone1"]).await, (vec![], 1));
        assert_eq!(ask(true, &[]).await, (vec![], 0));
    }

    #[tokio::test]
    async fn an_unnamed_stranger_is_found_one_by_one() {
        assert_eq!(
            ask(false, &["a", "gone1", "b"]).await,
            (vec!["a".to_owned(), "b".to_owned()], 4)
        );
    }

    #[tokio::test]
    async fn any_other_error_is_the_answer() {
        let failed = existing(vec!["a".to_owned()], async |_| {
            Err::<Vec<()>, _>(AwsError::odd("look", "ec2:DescribeVolumes", "no"))
        })
        .await;
        assert!(failed.is_err());
    }
}
