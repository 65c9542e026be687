//! Who serves which group? An instance's own group has a runner that sits on
//! it. The others are watched together, and one gets a runner of its own when
//! there is something to do, or an event says that it is worth a look.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

use super::listen::Listener;
use super::notify::Manager;
use super::survey::Survey;
use super::{Failure, tell};
use crate::aws::Aws;
use crate::clock::Clock;
use crate::host::linux::LinuxHost;
use crate::ids::GroupName;
use crate::reconcile::{Runner, Told};
use crate::spec::{Config, GroupSpec};

/// A step that was begun may end within this time when the daemon stops.
const LAST_STEP: Duration = Duration::from_secs(20);
/// A runner that is watched over need not poll by itself.
const WATCHED_POLLS_EVERY: SignedDuration = SignedDuration::from_hours(1);
/// Whoever calls more often than the crew can heed waits a moment.
const CALLS: usize = 64;

/// What every part of a crew works with.
#[derive(Clone)]
pub(super) struct Common {
    pub(super) aws: Aws,
    pub(super) config: Rc<Config>,
    pub(super) clock: Clock,
    pub(super) manager: Rc<Manager>,
    pub(super) roster: Rc<Roster>,
    pub(super) calls: mpsc::Sender<Call>,
}

/// What a watcher, or an event, asks of the crew.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// This group is worth a look.
    Look(GroupName),
    /// Every group is.
    Everyone,
    /// This machine is an instance of the group.
    Seat(GroupName),
}

/// The runners of all groups, and those who wake them.
pub(super) struct Crew {
    common: Common,
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
    calls: mpsc::Receiver<Call>,
    /// Cuts the pause until the next survey short.
    survey: Rc<Notify>,
}

impl Crew {
    /// `machine` is this one, if it is an EC2 instance.
    pub(super) fn engage(
        aws: &Aws,
        config: &Rc<Config>,
        clock: Clock,
        manager: &Rc<Manager>,
        machine: Option<Rc<LinuxHost>>,
    ) -> Self {
        manager.serves(config.groups.iter().map(|group| group.name.clone()));
        let (stop, _) = watch::channel(false);
        let (sender, calls) = mpsc::channel(CALLS);
        let common = Common {
            aws: aws.clone(),
            config: Rc::clone(config),
            clock,
            manager: Rc::clone(manager),
            roster: Rc::default(),
            calls: sender,
        };
        let mut crew = Self {
            common,
            tasks: JoinSet::new(),
            stop,
            calls,
            survey: Rc::default(),
        };
        let survey = Survey::new(crew.common.clone(), machine, Rc::clone(&crew.survey));
        crew.spawn(survey.keep());
        if let Some(url) = &config.wake.sqs_queue_url {
            let listener = Listener::new(crew.common.clone(), url.clone());
            crew.spawn(listener.keep());
        }
        crew
    }

    /// Until it is told to stop; it is not waited for.
    fn spawn(&mut self, work: impl Future<Output = std::convert::Infallible> + 'static) {
        let mut stop = self.stop.subscribe();
        self.tasks.spawn_local(async move {
            tokio::select! {
                never = work => match never {},
                () = stopped(&mut stop) => {}
            }
        });
    }

    /// Does what one call asks.
    ///
    /// # Errors
    /// When a part of the crew ended that nobody asked to.
    pub(super) async fn attend(&mut self) -> Result<(), Failure> {
        tokio::select! {
            Some(call) = self.calls.recv() => {
                self.heed(call);
                Ok(())
            }
            _ = self.tasks.join_next() => {
                Err(Failure::Failed("a part of the daemon ended by itself".to_owned()))
            }
        }
    }

    fn heed(&mut self, call: Call) {
        match call {
            Call::Look(group) => match self.common.roster.post(&group) {
                Some(post) => post.wake.notify_one(),
                // Whether it is this machine's own is about to be found out.
                None if !self.common.roster.is_placed(&group) => self.survey.notify_one(),
                None => self.post(&group, None),
            },
            Call::Everyone => {
                self.survey.notify_one();
                self.common.roster.wake_unwatched();
            }
            Call::Seat(group) => self.post(&group, Some(LinuxHost::new())),
        }
    }

    /// Gives the group a runner of its own.
    fn post(&mut self, group: &GroupName, host: Option<LinuxHost>) {
        let mut groups = self.common.config.groups.iter();
        let Some(spec) = groups.find(|spec| spec.name == *group) else {
            return;
        };
        match &host {
            Some(_) => tracing::info!(%group, "serves the group from its instance"),
            None => tracing::info!(%group, "serves the group from elsewhere"),
        }
        let post = Rc::new(Post {
            seated: host.is_some(),
            ..Post::default()
        });
        self.common.roster.add(group, Rc::clone(&post));
        let poll_every = match &host {
            Some(_) => self.common.config.wake.poll_every,
            None => WATCHED_POLLS_EVERY,
        };
        let runner = self.runner(spec, host, &post);
        let stop = self.stop.subscribe();
        let serving = serve(runner, spec.clone(), poll_every, post, stop);
        self.tasks.spawn_local(serving);
    }

    fn runner(
        &self,
        spec: &GroupSpec,
        host: Option<LinuxHost>,
        post: &Rc<Post>,
    ) -> Runner<LinuxHost> {
        let (post, manager) = (Rc::clone(post), Rc::clone(&self.common.manager));
        let group = spec.name.clone();
        let teller = tell::log(spec, move |told| {
            post.hear(told);
            manager.hears(&group, told);
        });
        Runner {
            aws: self.common.aws.clone(),
            host,
            clock: self.common.clock.clone(),
            teller,
        }
    }

    /// Lets everyone finish the step at hand.
    pub(super) async fn dismiss(mut self) {
        let _ = self.stop.send(true);
        while self.tasks.join_next().await.is_some() {}
    }
}

async fn serve(
    mut runner: Runner<LinuxHost>,
    spec: GroupSpec,
    poll_every: SignedDuration,
    post: Rc<Post>,
    mut stop: watch::Receiver<bool>,
) {
    let mut keep = pin!(runner.keep(&spec, poll_every, &post.wake));
    tokio::select! {
        never = &mut keep => match never {},
        () = stopped(&mut stop) => {}
    }
    tokio::select! {
        never = &mut keep => match never {},
        () = post.steps_ended() => {}
        () = tokio::time::sleep(LAST_STEP) => {
            tracing::warn!(group = %spec.name, "stops in the middle of a step; the next start goes on");
        }
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone cannot want anything to go on either.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Who is at work, and who is watched with the others.
#[derive(Default)]
pub(super) struct Roster {
    posts: RefCell<BTreeMap<GroupName, Rc<Post>>>,
    /// Those of which it is known whether this machine is their instance.
    placed: RefCell<BTreeSet<GroupName>>,
}

impl Roster {
    /// Groups whose runner, if they have one, has nothing to do.
    pub(super) fn watched(&self, specs: &[GroupSpec]) -> Vec<GroupSpec> {
        let posts = self.posts.borrow();
        let free = |spec: &&GroupSpec| posts.get(&spec.name).is_none_or(|post| post.is_free());
        specs.iter().filter(free).cloned().collect()
    }

    pub(super) fn place(&self, group: &GroupName) {
        self.placed.borrow_mut().insert(group.clone());
    }

    pub(super) fn is_placed(&self, group: &GroupName) -> bool {
        self.placed.borrow().contains(group)
    }

    pub(super) fn post(&self, group: &GroupName) -> Option<Rc<Post>> {
        self.posts.borrow().get(group).cloned()
    }

    fn add(&self, group: &GroupName, post: Rc<Post>) {
        self.place(group);
        self.posts.borrow_mut().insert(group.clone(), post);
    }

    fn wake_unwatched(&self) {
        let posts = self.posts.borrow();
        let at_work = posts.values().filter(|post| !post.is_free());
        at_work.for_each(|post| post.wake.notify_one());
    }
}

/// How one group's runner is doing.
#[derive(Debug, Default)]
pub(super) struct Post {
    seated: bool,
    wake: Notify,
    /// Has it been settled, and waited for nothing since?
    settled: Cell<bool>,
    /// How many steps are under way.
    steps: Cell<usize>,
    step_ended: Notify,
}

impl Post {
    /// Is someone else to watch over the group?
    fn is_free(&self) -> bool {
        !self.seated && self.settled.get() && self.steps.get() == 0
    }

    fn hear(&self, told: &Told<'_>) {
        let under_way = self.steps.get();
        match told {
            Told::Doing(_) => self.steps.set(under_way.saturating_add(1)),
            Told::Did(_) | Told::Overtaken(..) | Told::Failed(..) => {
                self.steps.set(under_way.saturating_sub(1));
                self.step_ended.notify_one();
            }
            Told::Waiting(_) => self.settled.set(false),
            Told::Settled => self.settled.set(true),
        }
    }

    async fn steps_ended(&self) {
        while self.steps.get() > 0 {
            self.step_ended.notified().await;
        }
    }
}

#[cfg(all(test, feature = "drill"))]
mod tests;
