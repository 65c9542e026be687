//! How do events come in and answers go out? By the runtime API, through the
//! runtime crate, which takes one event at a time.

use std::io::{self, Write as _};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use jiff::Timestamp;
use lambda_runtime::tower::layer::layer_fn;
use lambda_runtime::{
    Diagnostic, Error, LambdaEvent, LambdaInvocation, Runtime, Service, service_fn,
};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tracing::Instrument as _;

use super::super::Failure;
use super::bounds;
use super::function::Function;
use crate::clock::Clock;

/// An answer that is not taken so long after the deadline never will be.
const LATE: Duration = Duration::from_secs(10);

/// Until Lambda says that it is enough, or is gone.
pub(super) async fn serve(function: Function) -> Result<(), Failure> {
    end_with_code_1_on_panic();
    let mut terminate = signal(SignalKind::terminate())
        .map_err(|error| Failure::Failed(format!("cannot listen for signals: {error}")))?;
    let clock = function.clock().clone();
    let function = Rc::new(function);
    let handler = service_fn(move |event: LambdaEvent<String>| {
        let function = Rc::clone(&function);
        async move { answer(&function, event).await }
    });
    let runtime = Runtime::new(handler).layer(layer_fn(|inner| Door {
        inner,
        clock: clock.clone(),
    }));
    tokio::select! {
        ended = runtime.run() => Err(Failure::Failed(match ended {
            Ok(()) => "the Lambda runtime API has no more events".to_owned(),
            Err(error) => format!("the Lambda runtime API is gone: {}", reasons(error.as_ref())),
        })),
        _ = terminate.recv() => {
            tracing::info!("ends as it was told; what is under way, the next start goes on with");
            Ok(())
        }
    }
}

async fn answer(function: &Function, event: LambdaEvent<String>) -> Result<Value, Diagnostic> {
    let (payload, context) = event.into_parts();
    let deadline = deadline(&context);
    let span = tracing::info_span!("invocation", request_id = context.request_id);
    let invoked = function.invoke(payload.as_bytes(), deadline);
    invoked.instrument(span).await.map_err(|why| Diagnostic {
        error_type: "rehome.Unsettled".to_owned(),
        error_message: why,
    })
}

fn deadline(context: &lambda_runtime::Context) -> Timestamp {
    let millis = i64::try_from(context.deadline).ok();
    millis
        .and_then(|millis| Timestamp::from_millisecond(millis).ok())
        .unwrap_or(Timestamp::MAX)
}

/// The runtime crate ends in a panic when the runtime API breaks its contract
/// (an answer without a request id, say), and a release build would abort.
fn end_with_code_1_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        // A closed stderr leaves the exit code to speak.
        let _ = writeln!(
            io::stderr(),
            "rehome: cannot go on under this Lambda runtime API: {panic}"
        );
        std::process::exit(1);
    }));
}

/// Stands around the runtime's own handling of one event.
struct Door<S> {
    inner: S,
    clock: Clock,
}

impl<S> Service<LambdaInvocation> for Door<S>
where
    S: Service<LambdaInvocation, Response = (), Error = Error>,
    S::Future: 'static,
{
    type Response = ();
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<(), Error>>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(context)
    }

    /// What is not JSON would be refused inside, and delivered again and again:
    /// it is handed on as a text, whatever it is. What it means is not for the
    /// runtime to say.
    fn call(&mut self, mut invocation: LambdaInvocation) -> Self::Future {
        let text = String::from_utf8_lossy(&invocation.body);
        match serde_json::to_vec(&text) {
            Ok(text) => invocation.body = text.into(),
            Err(error) => return Box::pin(async move { Err(error.into()) }),
        }
        let now = self.clock.now();
        let end = bounds::meant(now, deadline(&invocation.context));
        let left = Duration::try_from(end.duration_since(now)).unwrap_or_default();
        let answered = self.inner.call(invocation);
        Box::pin(async move {
            match tokio::time::timeout(left.saturating_add(LATE), answered).await {
                Ok(answered) => answered,
                Err(_) => Err("it did not take the answer to an event".into()),
            }
        })
    }
}

fn reasons(error: &(dyn std::error::Error + 'static)) -> String {
    super::super::with_sources(error)
}
