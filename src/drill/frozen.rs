//! What is it like to be frozen? Nothing of the process goes on, neither its
//! timers nor its answers; then all of it at once.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Sleep, sleep_until};

use super::connector::Shared;

/// A runner's whole process, which can be frozen at any of its calls.
pub(super) struct Freezable {
    shared: Shared,
    who: String,
    process: Pin<Box<dyn Future<Output = ()>>>,
    thaw: Option<Pin<Box<Sleep>>>,
}

impl Freezable {
    pub(super) fn new(
        shared: Shared,
        who: &str,
        process: impl Future<Output = ()> + 'static,
    ) -> Self {
        // One that begins anew is not the one that was frozen.
        shared.thaw(who);
        Self {
            shared,
            who: who.to_owned(),
            process: Box::pin(process),
            thaw: None,
        }
    }
}

impl Future for Freezable {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(thaw) = &mut self.thaw {
                ready!(thaw.as_mut().poll(context));
                self.thaw = None;
                self.shared.thaw(&self.who);
            }
            let polled = match self.shared.frozen_until(&self.who) {
                None => self.process.as_mut().poll(context),
                Some(_) => Poll::Pending,
            };
            match self.shared.frozen_until(&self.who) {
                Some(until) if polled.is_pending() => {
                    self.thaw = Some(Box::pin(sleep_until(until)));
                }
                _ => return polled,
            }
        }
    }
}
