//! `rehome region`: the emulated region on a port, for anybody's client.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use rehome_region::serve;
use rehome_region::{Region, Settings};
use thiserror::Error;
use tokio::net::TcpListener;

use crate::clock::Clock;

#[derive(Clone, Debug)]
pub struct Options {
    /// Host and port; port 0 takes a free one.
    pub listen: String,
    pub seed: u64,
    /// Every duration of the region is multiplied by this.
    pub latency_scale: f64,
}

#[derive(Debug, Error)]
pub enum RegionError {
    #[error("cannot listen on {address}: {source}")]
    Listen { address: String, source: io::Error },
    #[error("the region stopped listening: {0}")]
    Stopped(io::Error),
    #[error("--latency-scale must be a number from 0 to 1000, not {0}")]
    Scale(f64),
}

/// Serves until it is interrupted.
pub async fn run(options: &Options, clock: Clock) -> Result<(), RegionError> {
    if !(0.0..=1_000.0).contains(&options.latency_scale) {
        return Err(RegionError::Scale(options.latency_scale));
    }
    let failed = |source| RegionError::Listen {
        address: options.listen.clone(),
        source,
    };
    let listener = TcpListener::bind(&options.listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let settings = Settings {
        seed: options.seed,
        latency_scale: options.latency_scale,
        ..Settings::default()
    };
    let name = settings.name.clone();
    let account = settings.account.clone();
    let region = Arc::new(Mutex::new(Region::new(settings, clock.now())));
    // Nobody reading this is no reason not to serve.
    let _ = write!(
        io::stdout(),
        "{name} listens on http://{address}\n\n\
         To speak to it with the AWS command line, boto3 or rehome:\n\n\
         export AWS_ENDPOINT_URL=http://{address} AWS_REGION={name} AWS_DEFAULT_REGION={name}\n\
         export AWS_ACCESS_KEY_ID=drill AWS_SECRET_ACCESS_KEY=drill\n\
         aws ec2 describe-volumes\n\n\
         An SQS queue with the region's events is at http://{address}/{account}/events\n"
    );
    let _ = io::stdout().flush();
    tokio::select! {
        biased;
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(RegionError::Stopped),
        ended = serve(region, listener, move || clock.now()) => ended.map_err(RegionError::Stopped),
    }
}
