//! How does a pair get another holder? By an appointment on both members, the
//! heir's first: either can tell when the other is out of reach, and the newest
//! one counts.

use jiff::Timestamp;

use super::super::{Aws, AwsError, Meaning, tagging};
use super::Outcome;
use crate::ids::InstanceId;
use crate::spec::{GroupSpec, Kind};
use crate::tags;
use crate::world::Term;

/// What is to be written.
pub(super) struct Appointment<'a> {
    pub(super) heir: &'a InstanceId,
    pub(super) since: Timestamp,
    /// The one that the plan has seen.
    pub(super) over: Option<&'a Term>,
    pub(super) moves: &'a [Timestamp],
}

impl Aws {
    pub(super) async fn appoint(
        &self,
        spec: &GroupSpec,
        wish: &Appointment<'_>,
    ) -> Result<Outcome, AwsError> {
        let members = members(spec)?;
        if let Some(why) = self.is_overtaken(members, wish.over).await? {
            return Outcome::overtaken(why);
        }
        let term = Term {
            holder: wish.heir.clone(),
            since: wish.since,
        };
        self.note(spec, wish.heir, &term, wish.moves).await?;
        for other in members.iter().filter(|id| *id != wish.heir) {
            match self.note(spec, other, &term, wish.moves).await {
                // It counts already; the other one's note serves only for the
                // day when the heir cannot be read, and is written a minute later.
                Err(error) if error.meaning != Meaning::NotFound => {
                    tracing::warn!(%error, instance = %other, "the appointment stands on the heir alone");
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(Outcome::Done)
    }

    /// Writes an appointment on the member where that failed.
    pub(super) async fn note_holder(
        &self,
        spec: &GroupSpec,
        on: &InstanceId,
        appointed: &Term,
        moves: &[Timestamp],
    ) -> Result<Outcome, AwsError> {
        if let Some(why) = self.is_overtaken(members(spec)?, Some(appointed)).await? {
            return Outcome::overtaken(why);
        }
        self.note(spec, on, appointed, moves).await?;
        Ok(Outcome::Done)
    }

    /// Did somebody appoint another one since the plan was made?
    async fn is_overtaken(
        &self,
        members: &[InstanceId],
        seen: Option<&Term>,
    ) -> Result<Option<String>, AwsError> {
        let (_, now) = self.pair_now(members).await?;
        Ok((now.as_ref() != seen).then(|| match now {
            Some(term) => format!("{} is the holder since {}", term.holder, term.since),
            None => "the appointment is gone".to_owned(),
        }))
    }

    async fn note(
        &self,
        spec: &GroupSpec,
        on: &InstanceId,
        appointed: &Term,
        moves: &[Timestamp],
    ) -> Result<(), AwsError> {
        let note = vec![
            tagging::tag(tags::GROUP, spec.name.as_str()),
            tagging::tag(tags::HOLDER, appointed.holder.as_str()),
            tagging::tag(tags::SINCE, &appointed.since.to_string()),
            tagging::tag(tags::MOVES, &tagging::write_moves(moves)),
        ];
        let holder = &appointed.holder;
        let doing = format!("note that {holder} is the holder of {}", spec.name);
        self.create_tags(&doing, vec![on.to_string()], note).await
    }
}

fn members(spec: &GroupSpec) -> Result<&[InstanceId], AwsError> {
    match &spec.kind {
        Kind::Pair { members } => Ok(members),
        Kind::Asg => {
            let why = format!("{} is no pair", spec.name);
            Err(AwsError::odd("appoint a holder", "", why))
        }
    }
}
