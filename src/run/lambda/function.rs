//! One invocation: whom does its event mean, how did the visits end, and which
//! messages have to come again?

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::super::tell;
use super::bounds::{Bounds, by};
use super::occasion::Occasion;
use super::onward::{FollowUps, Onward, delay};
use crate::aws::Aws;
use crate::clock::Clock;
use crate::host::linux::LinuxHost;
use crate::ids::GroupName;
use crate::plan::Wait;
use crate::reconcile::{Left, Runner, Stay, Visit};
use crate::spec::{Config, GroupSpec};
use crate::wake::{self, Strangers, Subject};

/// When to go on with a visit that had to be abandoned.
const ABANDONED: SignedDuration = SignedDuration::from_secs(5);
/// When to look again at what is settled although something is said to have
/// happened: a describe may lag behind the event, by a moment as a rule, and nobody
/// else may come before a lifecycle action has run out. The far one first: with the
/// near one on its way none is left.
const LAGS: [SignedDuration; 2] = [SignedDuration::from_mins(2), SignedDuration::from_secs(30)];

/// What lasts from one invocation to the next. All of it only saves calls.
pub(super) struct Function {
    aws: Aws,
    config: Config,
    clock: Clock,
    strangers: RefCell<Strangers>,
    follow_ups: RefCell<FollowUps>,
    queues: RefCell<BTreeMap<String, String>>,
}

/// How it stands with a group when its visitor has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Settled,
    /// A message was left.
    FollowedUp,
    /// Someone comes anyway: an earlier message, or the schedule.
    Awaited,
}

/// Whom to look at, and why.
#[derive(Clone, Copy)]
struct Call<'a> {
    spec: &'a GroupSpec,
    /// Something is said to have happened to it.
    is_news: bool,
}

/// Whom the letters of an occasion mean.
struct Addressees {
    /// By letter: groups the configuration tells, and subjects only AWS knows.
    by_letter: Vec<(BTreeSet<GroupName>, BTreeSet<Subject>)>,
    /// The owners of all those subjects, or why they are not known.
    owners: Result<BTreeSet<GroupName>, String>,
}

impl Function {
    pub(super) fn new(aws: Aws, config: Config, clock: Clock) -> Self {
        Self {
            aws,
            config,
            clock,
            strangers: RefCell::default(),
            follow_ups: RefCell::default(),
            queues: RefCell::default(),
        }
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Looks at everyone the event means, side by side.
    ///
    /// # Errors
    /// When an event that is no batch has to be delivered again, with the
    /// reason; a batch names its messages instead.
    pub(super) async fn invoke(
        &self,
        payload: &[u8],
        deadline: Timestamp,
    ) -> Result<Value, String> {
        let bounds = Bounds::of(self.clock.now(), deadline);
        let occasion = Occasion::read(payload);
        let addressees = self.address(&occasion, bounds).await;
        let onward = Onward::from(
            occasion.queue.as_deref(),
            self.config.wake.sqs_queue_url.as_deref(),
            occasion.is_scheduled(),
        );
        let groups = addressees.all();
        let news = addressees.with_news(&occasion);
        let specs = self.config.groups.iter();
        let visits = specs
            .filter(|spec| groups.contains(&spec.name))
            .map(|spec| {
                let onward = &onward;
                let call = Call {
                    spec,
                    is_news: news.contains(&spec.name),
                };
                async move { (spec.name.clone(), self.serve(call, onward, bounds).await) }
            });
        let ended = Ended(join_all(visits).await.into_iter().collect());
        let summary = ended.summary(&occasion);
        if occasion.queue.is_some() {
            let again = self.to_come_again(&occasion, &addressees, &ended, bounds);
            let again = again.await;
            return Ok(json!({ "batchItemFailures": again }));
        }
        let unknown = addressees.owners.as_ref().err();
        match ended.failures().map(|(_, why)| why).chain(unknown).next() {
            Some(why) => Err(why.clone()),
            None => Ok(summary),
        }
    }

    async fn address(&self, occasion: &Occasion, bounds: Bounds) -> Addressees {
        let letters = occasion.letters.iter();
        let by_letter: Vec<_> = letters
            .map(|letter| wake::named(&self.config, &letter.subjects))
            .collect();
        let unclear = by_letter.iter().flat_map(|(_, unclear)| unclear.clone());
        let owners = self.owners(&unclear.collect(), bounds).await;
        if let Err(why) = &owners {
            tracing::error!(why, "cannot tell whom the event means");
        }
        Addressees { by_letter, owners }
    }

    async fn owners(
        &self,
        unclear: &BTreeSet<Subject>,
        bounds: Bounds,
    ) -> Result<BTreeSet<GroupName>, String> {
        if unclear.is_empty() {
            return Ok(BTreeSet::new());
        }
        let now = self.clock.now();
        let mut strangers = self.strangers.take();
        let asked = strangers.owners(&self.aws, &self.config, unclear, now);
        let owners = by(bounds.visits, now, asked).await;
        self.strangers.replace(strangers);
        match owners {
            Some(Ok(owners)) => Ok(owners),
            Some(Err(error)) => Err(error.to_string()),
            None => Err("AWS did not say in time whom the event means".to_owned()),
        }
    }

    /// The messages whose groups failed, the way Lambda wants them named.
    async fn to_come_again(
        &self,
        occasion: &Occasion,
        addressees: &Addressees,
        ended: &Ended,
        bounds: Bounds,
    ) -> Vec<Value> {
        let mut again = Vec::new();
        for (letter, (named, unclear)) in occasion.letters.iter().zip(&addressees.by_letter) {
            let owners_failed = match &addressees.owners {
                _ if unclear.is_empty() => false,
                Err(_) => true,
                Ok(owners) if !ended.any_failed(owners) => false,
                // Rare: which of the letters meant the group that failed?
                Ok(_) => {
                    let asked = wake::whom(&self.aws, &self.config, unclear);
                    match by(bounds.messages, self.clock.now(), asked).await {
                        Some(Ok(owners)) => ended.any_failed(&owners),
                        Some(Err(_)) | None => true,
                    }
                }
            };
            if let Some(id) = &letter.message
                && (owners_failed || ended.any_failed(named))
            {
                again.push(json!({ "itemIdentifier": id }));
            }
        }
        again
    }

    /// One visit, and the arrangement for the next.
    async fn serve(
        &self,
        call: Call<'_>,
        onward: &Onward,
        bounds: Bounds,
    ) -> Result<Standing, String> {
        let Call { spec, is_news } = call;
        let mut runner: Runner<LinuxHost> = Runner {
            aws: self.aws.clone(),
            host: None,
            clock: self.clock.clone(),
            teller: tell::log(spec, |_| {}),
        };
        let visit = Visit {
            until: bounds.turns,
            stay: match onward {
                Onward::QueueOf(_) | Onward::Queue(_) => Stay::Briefly,
                Onward::Schedule => Stay::WhileKeptOpen,
                Onward::Nobody => Stay::ToTheEnd,
            },
        };
        // On the heap: there may be many at a time.
        let visited = Box::pin(runner.visit(spec, visit));
        let visited = by(bounds.visits, self.clock.now(), visited).await;
        let (back_in, waits, keeps_open) = match visited {
            Some(Left::Settled) => {
                if is_news && onward.is_by_message() {
                    self.look_again(&spec.name, onward, bounds).await;
                }
                return Ok(Standing::Settled);
            }
            Some(Left::Failed(why)) => return Err(format!("{}: {why}", spec.name)),
            Some(Left::Unsettled {
                back_in,
                waits,
                keeps_open,
            }) => (back_in, waits, keeps_open),
            // What it was at may have opened an action: better safe.
            None => (ABANDONED, Vec::new(), true),
        };
        match onward {
            Onward::QueueOf(_) | Onward::Queue(_) => {
                self.leave_message(&spec.name, onward, back_in, bounds)
                    .await
            }
            Onward::Schedule if !keeps_open => Ok(Standing::Awaited),
            Onward::Schedule | Onward::Nobody => Err(nobody_goes_on(&spec.name, &waits)),
        }
    }

    /// It is a precaution: the event is done with, whatever comes of this.
    async fn look_again(&self, group: &GroupName, onward: &Onward, bounds: Bounds) {
        for lag in LAGS {
            if let Err(why) = self.leave_message(group, onward, lag, bounds).await {
                tracing::warn!(%group, why, "cannot look once more");
            }
        }
    }

    async fn leave_message(
        &self,
        group: &GroupName,
        onward: &Onward,
        back_in: SignedDuration,
        bounds: Bounds,
    ) -> Result<Standing, String> {
        let sent = self.follow_up(group, onward, back_in);
        let sent = by(bounds.messages, self.clock.now(), sent).await;
        sent.unwrap_or_else(|| Err(format!("{group}: no message could be left in time")))
    }

    async fn follow_up(
        &self,
        group: &GroupName,
        onward: &Onward,
        back_in: SignedDuration,
    ) -> Result<Standing, String> {
        let now = self.clock.now();
        let Some(due) = self.follow_ups.borrow_mut().plan(group, now, back_in) else {
            return Ok(Standing::Awaited);
        };
        let body = json!({ "rehome": { "group": group } }).to_string();
        let delay = delay(now, due);
        let sent = async {
            let url = self.url(onward).await?;
            self.aws.send_later(&url, &body, delay).await
        };
        // Until it is known to be taken, it counts as not left.
        let mut planned = Planned {
            follow_ups: &self.follow_ups,
            group,
            due,
            sent: false,
        };
        match sent.await {
            Ok(()) => {
                planned.sent = true;
                tracing::info!(%group, seconds = delay.as_secs(), "goes on later");
                Ok(Standing::FollowedUp)
            }
            Err(error) => Err(format!("{group}: {error}")),
        }
    }

    async fn url(&self, onward: &Onward) -> Result<String, crate::aws::AwsError> {
        let arn = match onward {
            Onward::QueueOf(arn) => arn,
            Onward::Queue(url) => return Ok(url.clone()),
            Onward::Schedule | Onward::Nobody => return Ok(String::new()),
        };
        if let Some(url) = self.queues.borrow().get(arn) {
            return Ok(url.clone());
        }
        let url = self.aws.queue_url_of(arn).await?;
        self.queues.borrow_mut().insert(arn.clone(), url.clone());
        Ok(url)
    }
}

/// A message on its way. Dropped before it was taken, it was never left.
struct Planned<'a> {
    follow_ups: &'a RefCell<FollowUps>,
    group: &'a GroupName,
    due: Timestamp,
    sent: bool,
}

impl Drop for Planned<'_> {
    fn drop(&mut self) {
        if !self.sent {
            self.follow_ups.borrow_mut().forget(self.group, self.due);
        }
    }
}

/// How all visits of one invocation ended.
struct Ended(BTreeMap<GroupName, Result<Standing, String>>);

impl Ended {
    fn failures(&self) -> impl Iterator<Item = (&GroupName, &String)> {
        let all = self.0.iter();
        all.filter_map(|(group, ended)| Some((group, ended.as_ref().err()?)))
    }

    fn any_failed(&self, groups: &BTreeSet<GroupName>) -> bool {
        self.failures().any(|(group, _)| groups.contains(group))
    }

    fn count(&self, standing: Standing) -> usize {
        let all = self.0.values();
        all.filter(|ended| ended.as_ref() == Ok(&standing)).count()
    }

    /// One line for the log, and the answer to whoever asked directly.
    fn summary(&self, occasion: &Occasion) -> Value {
        for (group, why) in self.failures() {
            tracing::error!(%group, why, "its event has to come again");
        }
        let groups = self.0.len();
        let settled = self.count(Standing::Settled);
        let follow_ups = self.count(Standing::FollowedUp);
        let awaited = self.count(Standing::Awaited);
        let failed = self.failures().count();
        let (events, unheard) = (occasion.letters.len(), occasion.unheard);
        tracing::info!(
            events,
            unheard,
            groups,
            settled,
            follow_ups,
            awaited,
            failed,
            "invocation ends"
        );
        json!({
            "events": events,
            "unheard": unheard,
            "groups": groups,
            "settled": settled,
            "follow_ups": follow_ups,
            "awaited": awaited,
            "failed": failed,
        })
    }
}

impl Addressees {
    /// The groups to which something happened. Whose a letter is that only AWS
    /// could tell is not known one by one: any of these may be meant.
    fn with_news(&self, occasion: &Occasion) -> BTreeSet<GroupName> {
        let letters = occasion.letters.iter().zip(&self.by_letter);
        let news: Vec<_> = letters
            .filter(|(letter, _)| letter.is_news)
            .map(|(_, meant)| meant)
            .collect();
        let named = news.iter().flat_map(|(named, _)| named);
        let asked = news.iter().any(|(_, unclear)| !unclear.is_empty());
        let owners = self.owners.iter().flatten().filter(|_| asked);
        named.chain(owners).cloned().collect()
    }

    fn all(&self) -> BTreeSet<GroupName> {
        let named = self.by_letter.iter().flat_map(|(named, _)| named);
        let owners = self.owners.iter().flatten();
        named.chain(owners).cloned().collect()
    }
}

fn nobody_goes_on(group: &GroupName, waits: &[Wait]) -> String {
    let mut why = format!(
        "{group} is not settled, and nobody would go on with it: set wake.sqs_queue_url, so that \
         the function can leave itself a message"
    );
    if let Some(wait) = waits.first() {
        why.push_str(&format!(" (it waits: {wait})"));
    }
    why
}
