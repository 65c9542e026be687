//! Is everything there that was promised? The client's book against the rows
//! that PostgreSQL returns after a failover.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use super::client::{Acknowledged, Book};

/// What the comparison shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Audit {
    /// Commits acknowledged so far, in all rounds.
    pub(super) acknowledged: usize,
    pub(super) rows: usize,
    /// Acknowledged, and not there.
    pub(super) lost: BTreeSet<u64>,
    /// From the last commit that is there to the last that is not.
    pub(super) lost_for: SignedDuration,
    /// What cannot be, in words.
    pub(super) strange: Vec<String>,
}

/// `gone` was lost to an outage before: it must not come back.
pub(super) fn audit(book: &Book, gone: &BTreeSet<u64>, rows: &[u64]) -> Audit {
    let there: BTreeSet<u64> = rows.iter().copied().collect();
    let expected = book
        .acknowledged
        .iter()
        .filter(|ack| !gone.contains(&ack.n));
    let lost: Vec<&Acknowledged> = expected.filter(|ack| !there.contains(&ack.n)).collect();
    let mut strange = Vec::new();
    if there.len() != rows.len() {
        strange.push(format!("{} rows are there twice", rows.len() - there.len()));
    }
    let invented = there
        .iter()
        .filter(|n| **n == 0 || **n > book.tried)
        .count();
    if invented > 0 {
        strange.push(format!("{invented} rows were never written"));
    }
    let back = there.intersection(gone).count();
    if back > 0 {
        strange.push(format!(
            "{back} rows that an outage had cost came back: an older copy took over"
        ));
    }
    if let (Some(first), Some(last)) = (lost.first(), lost.last()) {
        let between = book.acknowledged.iter();
        let holes = between
            .filter(|ack| ack.n > first.n && ack.n < last.n && there.contains(&ack.n))
            .count();
        if holes > 0 {
            strange.push(format!(
                "{holes} rows are there that were written after lost ones"
            ));
        }
    }
    Audit {
        acknowledged: book.acknowledged.len(),
        rows: rows.len(),
        lost_for: lost_for(book, &there, &lost),
        lost: lost.iter().map(|ack| ack.n).collect(),
        strange,
    }
}

fn lost_for(book: &Book, there: &BTreeSet<u64>, lost: &[&Acknowledged]) -> SignedDuration {
    let (Some(first), Some(last)) = (lost.first(), lost.last()) else {
        return SignedDuration::ZERO;
    };
    let mut before = book
        .acknowledged
        .iter()
        .rev()
        .skip_while(|ack| ack.n >= first.n);
    let kept = before.find(|ack| there.contains(&ack.n));
    // With nothing left, everything is lost.
    let kept = kept.or(book.acknowledged.first());
    kept.map_or(SignedDuration::ZERO, |kept| last.at.duration_since(kept.at))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    /// Ten commits, one each second; number eleven was tried.
    fn book() -> Book {
        let acknowledged = (1..=10).map(|n: u64| Acknowledged {
            n,
            at: Timestamp::UNIX_EPOCH + SignedDuration::from_secs(i64::try_from(n).unwrap_or(0)),
            by: "i-0a".to_owned(),
        });
        Book {
            acknowledged: acknowledged.collect(),
            tried: 11,
            trouble: None,
        }
    }

    fn rows(numbers: impl IntoIterator<Item = u64>) -> Vec<u64> {
        numbers.into_iter().collect()
    }

    #[test]
    fn a_commit_without_an_answer_may_be_there_or_not() {
        for last in [10, 11] {
            let found = audit(&book(), &BTreeSet::new(), &rows(1..=last));
            assert!(
                found.lost.is_empty() && found.strange.is_empty(),
                "{found:?}"
            );
        }
    }

    #[test]
    fn what_is_lost_is_counted_and_measured() {
        let found = audit(&book(), &BTreeSet::new(), &rows(1..=7));
        assert_eq!(found.lost, BTreeSet::from([8, 9, 10]));
        assert_eq!(found.lost_for, SignedDuration::from_secs(3));
        assert!(found.strange.is_empty());
        let nothing = audit(&book(), &BTreeSet::new(), &[]);
        assert_eq!(nothing.lost_for, SignedDuration::from_secs(9));
    }

    #[test]
    fn what_cannot_be_is_named() {
        let gone = BTreeSet::from([4]);
        let says = |rows: &[u64]| audit(&book(), &gone, rows).strange.join("; ");
        assert_eq!(says(&rows((1..=3).chain(5..=10))), "");
        assert_eq!(
            says(&rows(1..=10)),
            "1 rows that an outage had cost came back: an older copy took over"
        );
        assert_eq!(
            says(&rows((1..=3).chain(5..=10).chain([12]))),
            "1 rows were never written"
        );
        assert_eq!(
            says(&rows((1..=3).chain(5..=10).chain([10]))),
            "1 rows are there twice"
        );
        assert_eq!(
            says(&rows([1, 2, 3, 5, 8, 10])),
            "1 rows are there that were written after lost ones"
        );
    }
}
