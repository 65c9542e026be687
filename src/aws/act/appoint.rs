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
        let Kind::Pair { members } = &spec.kind else {
            let why = format!("{} is no pair", spec.name);
            return Err(AwsError::odd("appoint a holder", "", why));
        };
        let now = self.pair_appointment(members).await?;
        if now.as_ref() != wish.over {
            return Outcome::overtaken(match now {
                Some(term) => format!("{} is the holder since {}", term.holder, term.since),
                None => "the appointment is gone".to_owned(),
            });
        }
        let note = vec![
            tagging::tag(tags::GROUP, spec.name.as_str()),
            tagging::tag(tags::HOLDER, wish.heir.as_str()),
            tagging::tag(tags::SINCE, &wish.since.to_string()),
            tagging::tag(tags::MOVES, &tagging::write_moves(wish.moves)),
        ];
        let doing = format!("note that {} is the holder of {}", wish.heir, spec.name);
        self.create_tags(&doing, vec![wish.heir.to_string()], note.clone())
            .await?;
        for other in members.iter().filter(|id| *id != wish.heir) {
            match self
                .create_tags(&doing, vec![other.to_string()], note.clone())
                .await
            {
                // It counts already; the other one's note serves only for the
                // day when the heir cannot be read.
                Err(error) if error.meaning != Meaning::NotFound => {
                    tracing::warn!(%error, instance = %other, "the appointment stands on the heir alone");
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(Outcome::Done)
    }
}
