//! What is one event about? A batch of messages, each of which is done with or
//! comes back by itself; or one event of any other kind.

use std::collections::BTreeSet;

use crate::wake::{self, Subject};

/// What one invocation was called for.
#[derive(Debug)]
pub(super) struct Occasion {
    pub(super) letters: Vec<Letter>,
    /// The queue that a batch came from.
    pub(super) queue: Option<String>,
    /// What said nothing about whom to look at: it is done with.
    pub(super) unheard: usize,
}

/// One event that was understood.
#[derive(Debug)]
pub(super) struct Letter {
    /// By which a message of a batch can be asked for again.
    pub(super) message: Option<String>,
    /// Something happened: neither our own message nor the clock.
    pub(super) is_news: bool,
    pub(super) subjects: BTreeSet<Subject>,
}

impl Occasion {
    pub(super) fn read(payload: &[u8]) -> Self {
        let mut occasion = Self {
            letters: Vec::new(),
            queue: None,
            unheard: 0,
        };
        match wake::batch(payload) {
            Some(messages) => {
                occasion.queue = messages.first().map(|first| first.queue_arn.clone());
                for message in messages {
                    occasion.hear(message.body.as_bytes(), Some(message.id));
                }
            }
            None => occasion.hear(payload, None),
        }
        occasion
    }

    fn hear(&mut self, payload: &[u8], message: Option<String>) {
        match wake::hear(payload) {
            Ok(heard) => {
                tracing::debug!(what = heard.what, id = message, "heard");
                let subjects = heard.subjects;
                let is_news =
                    heard.what != wake::FOLLOW_UP && !subjects.contains(&Subject::Everyone);
                self.letters.push(Letter {
                    message,
                    is_news,
                    subjects,
                });
            }
            Err(why) => {
                self.unheard = self.unheard.saturating_add(1);
                tracing::warn!(%why, id = message, bytes = payload.len(), "an event says nothing and is dropped");
            }
        }
    }

    /// Does it come by the clock? Then it comes again.
    pub(super) fn is_scheduled(&self) -> bool {
        let mut subjects = self.letters.iter().flat_map(|letter| &letter.subjects);
        subjects.any(|subject| *subject == Subject::Everyone)
    }
}
