//! What does the queue tell? Every message makes someone look, or is counted;
//! either way it is done with: what is lost costs the polling interval.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;

use jiff::SignedDuration;

use super::crew::{Call, Common};
use crate::aws::{AwsError, Received};
use crate::wake::{self, Strangers, Subject, Unheard};

/// As long as a queue may be asked to wait for a message.
const WAIT: Duration = Duration::from_secs(20);
/// A queue that answers "nothing" sooner than this did not wait, and is not
/// asked again at once.
const TOO_SOON: SignedDuration = SignedDuration::from_secs(1);
/// How long a queue that cannot be read is left alone: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// As many reasons, and messages that could not be acknowledged, are kept in mind.
const MOST_KEPT: usize = 100;
/// How it is said in the status that the queue does not work.
const DEAF: &str = "the queue cannot be read";

pub(super) struct Listener {
    common: Common,
    url: String,
    strangers: Strangers,
    /// Why messages were not understood: each reason is logged once.
    reasons: BTreeSet<Unheard>,
    /// Messages that were heard and will come again.
    lingering: BTreeSet<String>,
    /// The last thing that went wrong with the queue, while it does.
    trouble: Option<String>,
    count: Count,
}

/// What became of the messages.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    heard: u64,
    /// Understood, and of no configured group.
    foreign: u64,
    unheard: u64,
}

impl Listener {
    pub(super) fn new(common: Common, url: String) -> Self {
        Self {
            common,
            url,
            strangers: Strangers::default(),
            reasons: BTreeSet::new(),
            lingering: BTreeSet::new(),
            trouble: None,
            count: Count::default(),
        }
    }

    pub(super) async fn keep(mut self) -> Infallible {
        let mut pause = FIRST_PAUSE;
        loop {
            let asked = self.common.clock.now();
            match self.common.aws.receive(&self.url, WAIT).await {
                Ok(messages) => {
                    pause = FIRST_PAUSE;
                    self.works();
                    let waited = self.common.clock.now().duration_since(asked);
                    if messages.is_empty() && waited < TOO_SOON {
                        tokio::time::sleep(TOO_SOON.unsigned_abs()).await;
                    }
                    self.take(&messages).await;
                }
                Err(error) => {
                    self.fails(&error);
                    tokio::time::sleep(pause).await;
                    pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    async fn take(&mut self, messages: &[Received]) {
        if messages.is_empty() {
            return;
        }
        for message in messages {
            if !self.lingering.remove(&message.id) {
                self.hear(message).await;
            }
        }
        tracing::debug!(count = ?self.count, "messages from the queue");
        if let Err(error) = self.common.aws.acknowledge(&self.url, messages).await {
            let url = &self.url;
            tracing::warn!(%error, action = error.action, url, "messages were heard, and come again");
            let room = MOST_KEPT.saturating_sub(self.lingering.len());
            let heard = messages.iter().map(|message| message.id.clone());
            self.lingering.extend(heard.take(room));
        }
    }

    async fn hear(&mut self, message: &Received) {
        match wake::hear(message.body.as_bytes()) {
            Ok(heard) => {
                let whom = self.wake(&heard.subjects).await;
                tracing::debug!(what = heard.what, ?whom, "an event");
                match whom.is_empty() {
                    true => self.count.foreign = self.count.foreign.saturating_add(1),
                    false => self.count.heard = self.count.heard.saturating_add(1),
                }
            }
            Err(why) => self.does_not_understand(why, &message.id),
        }
    }

    /// Makes everyone look who is meant, and says who that is.
    async fn wake(&mut self, subjects: &BTreeSet<Subject>) -> Vec<String> {
        if subjects.contains(&Subject::Everyone) {
            self.call(Call::Everyone).await;
            return vec!["everyone".to_owned()];
        }
        let config = &self.common.config;
        let (mut groups, unclear) = wake::named(config, subjects);
        let now = self.common.clock.now();
        let owners = self
            .strangers
            .owners(&self.common.aws, config, &unclear, now);
        match owners.await {
            Ok(more) => groups.extend(more),
            // Polling will show what it was.
            Err(error) => tracing::warn!(%error, "cannot find out whom an event concerns"),
        }
        for group in &groups {
            self.call(Call::Look(group.clone())).await;
        }
        groups.iter().map(ToString::to_string).collect()
    }

    async fn call(&self, call: Call) {
        // A crew that is gone needs nobody.
        let _ = self.common.calls.send(call).await;
    }

    fn does_not_understand(&mut self, why: Unheard, id: &str) {
        self.count.unheard = self.count.unheard.saturating_add(1);
        if self.reasons.len() < MOST_KEPT && !self.reasons.contains(&why) {
            let url = &self.url;
            tracing::warn!(%why, id, url, "a message of the queue concerns nobody; more of its kind are only counted");
            self.reasons.insert(why);
        }
    }

    fn works(&mut self) {
        if self.trouble.take().is_some() {
            tracing::info!(url = self.url, "listens to the queue again");
            self.common.manager.retract(DEAF);
        }
    }

    /// Said once for each thing that is wrong, however long it stays wrong.
    fn fails(&mut self, error: &AwsError) {
        let says = super::with_sources(error);
        if self.trouble.as_ref() != Some(&says) {
            tracing::warn!(
                error = says,
                action = error.action,
                url = self.url,
                "cannot listen to the queue of [wake]; polling goes on"
            );
            self.common.manager.note(DEAF);
            self.trouble = Some(says);
        }
    }
}
