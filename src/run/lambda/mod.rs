//! `rehome lambda`: is run by AWS Lambda, event by event.
//!
//! An invocation visits the groups that its event makes worth a look. It does
//! what can be done now, and leaves a message to itself where the rest is far
//! away: the waits of a move are spread over as many invocations as they take.
//!
//! ```text
//! door        the runtime API          occasion    what one event is about
//! function    one invocation           onward      who goes on, and when
//! bounds      how its time is divided  init_error  why it never began
//! ```

mod bounds;
mod door;
mod function;
mod init_error;
mod occasion;
mod onward;
#[cfg(all(test, feature = "drill"))]
mod tests;

use self::function::Function;
use super::{Failure, clock, configuration};
use crate::aws::Aws;
use crate::cli::Lambda;

/// What Lambda sets, and its runtime cannot do without.
const RUNTIME_API: &str = "AWS_LAMBDA_RUNTIME_API";
const FUNCTION: [&str; 2] = ["AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION"];
const MEMORY: &str = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE";

pub(super) async fn run(options: &Lambda) -> Result<(), Failure> {
    let api = surroundings()?;
    match prepare(options).await {
        Ok(function) => door::serve(function).await,
        Err(failure) => {
            init_error::report(&api, &failure).await;
            Err(failure)
        }
    }
}

/// Everything that lasts from one invocation to the next.
async fn prepare(options: &Lambda) -> Result<Function, Failure> {
    let config = configuration(options.configuration.config.as_deref())?;
    let aws = Aws::from_env().await?;
    tracing::info!(groups = config.groups.len(), "ready for events");
    Ok(Function::new(aws, config, clock()))
}

/// Where the runtime API is.
fn surroundings() -> Result<String, Failure> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let api = set(RUNTIME_API).filter(|api| init_error::place(api).is_some());
    let memory = set(MEMORY).and_then(|size| size.parse::<i32>().ok());
    match api {
        Some(api) if memory.is_some() && FUNCTION.iter().all(|name| set(name).is_some()) => Ok(api),
        _ => Err(Failure::Usage(format!(
            "`rehome lambda` is run by AWS Lambda, which sets {RUNTIME_API}, {}, {} and {MEMORY}; \
             elsewhere, `rehome daemon` does the same",
            FUNCTION[0], FUNCTION[1]
        ))),
    }
}
