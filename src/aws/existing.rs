//! Which of these ids exist? One unknown id fails a whole describe, so the ids
//! that AWS names as unknown are left out and the rest is asked again.

use std::collections::BTreeSet;

use super::{AwsError, Meaning};

/// What is asked for by id, and how an answer says its own.
pub(super) struct Wanted<'a, T> {
    pub(super) ids: Vec<String>,
    pub(super) id_of: fn(&T) -> Option<&str>,
    pub(super) doing: &'a str,
    pub(super) action: &'static str,
}

impl<T> Wanted<'_, T> {
    /// AWS shows each of the ids or names one that it does not know. Whatever
    /// shows fewer, or others, is no answer to this: read as one, it would say
    /// that something is gone.
    fn all_of(&self, ids: &[String], found: Vec<T>) -> Result<Vec<T>, AwsError> {
        let shown: BTreeSet<&str> = found.iter().filter_map(self.id_of).collect();
        let asked: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
        let problem = match (
            asked.difference(&shown).next(),
            shown.difference(&asked).next(),
        ) {
            (None, None) => return Ok(found),
            (Some(missing), _) => format!("the answer leaves out {missing} and does not say why"),
            (None, Some(stranger)) => {
                format!("the answer is about {stranger}, which was not asked for")
            }
        };
        Err(AwsError::garbled(self.doing, self.action, problem))
    }
}

pub(super) async fn existing<T>(
    wanted: Wanted<'_, T>,
    read: impl AsyncFn(Vec<String>) -> Result<Vec<T>, AwsError>,
) -> Result<Vec<T>, AwsError> {
    let mut ids = wanted.ids.clone();
    while !ids.is_empty() {
        let asked = ids.len();
        match read(ids.clone()).await {
            Ok(found) => return wanted.all_of(&ids, found),
            Err(error) if error.meaning != Meaning::NotFound => return Err(error),
            Err(error) => ids.retain(|id| !error.names(id)),
        }
        if ids.len() == asked {
            return one_by_one(&wanted, ids, read).await;
        }
    }
    Ok(Vec::new())
}

/// For an error that does not say which of the ids it means.
async fn one_by_one<T>(
    wanted: &Wanted<'_, T>,
    ids: Vec<String>,
    read: impl AsyncFn(Vec<String>) -> Result<Vec<T>, AwsError>,
) -> Result<Vec<T>, AwsError> {
    let mut all = Vec::new();
    for id in ids {
        let asked = [id.clone()];
        match read(asked.to_vec()).await {
            Ok(found) => all.extend(wanted.all_of(&asked, found)?),
            Err(error) if error.meaning != Meaning::NotFound => return Err(error),
            Err(error) if is_about_another(&error, &id) => {
                let problem = format!("the answer does not know another than {id}");
                return Err(AwsError::garbled(wanted.doing, wanted.action, problem));
            }
            Err(_) => {}
        }
    }
    Ok(all)
}

/// Does the message name one of this kind, and not this one?
fn is_about_another(error: &AwsError, id: &str) -> bool {
    let kind = id.split_inclusive('-').next().unwrap_or(id);
    kind.ends_with('-') && error.message.contains(kind) && !error.names(id)
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

    fn wanted(ids: Vec<String>) -> Wanted<'static, String> {
        Wanted {
            ids,
            id_of: |id| Some(id),
            doing: "look",
            action: "ec2:DescribeVolumes",
        }
    }

    async fn ask(named: bool, ids: &[&str]) -> (Vec<String>, usize) {
        let calls = RefCell::new(0);
        let ids = ids.iter().map(|id| (*id).to_owned()).collect();
        let found = existing(wanted(ids), async |ids: Vec<String>| {
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
        let failed = existing(wanted(vec!["a".to_owned()]), async |_| {
            Err::<Vec<String>, _>(AwsError::odd("look", "ec2:DescribeVolumes", "no"))
        })
        .await;
        assert!(failed.is_err());
    }

    #[tokio::test]
    async fn an_answer_that_leaves_one_out_says_nothing_of_it() {
        let ids = || vec!["vol-1".to_owned(), "vol-2".to_owned()];
        for shown in [
            &["vol-1"][..],
            &[],
            &["vol-1", "vol-2", "vol-3"],
            &["vol-9"],
        ] {
            let answer = existing(wanted(ids()), async |_| {
                Ok(shown.iter().map(|id| (*id).to_owned()).collect())
            })
            .await;
            let error = answer.unwrap_err();
            assert_eq!(error.meaning, Meaning::Unavailable, "{shown:?}");
        }
    }

    #[tokio::test]
    async fn an_error_about_another_one_says_nothing_of_this() {
        let about = async |id: &str| {
            let message = format!("The volume '{id}' does not exist.");
            existing(wanted(vec!["vol-1".to_owned()]), async |_| {
                Err::<Vec<String>, _>(missing(&message))
            })
            .await
        };
        assert_eq!(about("vol-1").await.unwrap(), Vec::<String>::new());
        assert_eq!(
            about("vol-12").await.unwrap_err().meaning,
            Meaning::Unavailable
        );
    }
}
