//! `rehome region`: the emulated region on a port, for anybody's client; and,
//! when it is asked to, the judge of whoever spoke to it.

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rehome_region::iam::{Policy, PolicyError};
use rehome_region::{Region, Settings, Witness, serve, serve_witnessed};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::clock::Clock;
use crate::drill::jury::{Jury, Sentence};
use crate::drill::scenario::Mishap;
use crate::drill::setting;
use crate::spec::GroupSpec;

#[derive(Clone, Debug)]
pub struct Options {
    /// Host and port; port 0 takes a free one.
    pub listen: String,
    pub seed: u64,
    /// Every duration of the region is multiplied by this.
    pub latency_scale: f64,
    /// What goes wrong on the way, by chance.
    pub mishaps: Vec<Mishap>,
    /// The groups to judge when it ends, if that is asked for.
    pub judged: Option<Vec<GroupSpec>>,
    /// For which access keys (`*` fits anything) which file's policy counts.
    pub policies: Vec<(String, PathBuf)>,
}

#[derive(Debug, Error)]
pub enum RegionError {
    #[error("cannot listen on {address}: {source}")]
    Listen { address: String, source: io::Error },
    #[error("the region stopped listening: {0}")]
    Stopped(io::Error),
    #[error("cannot read the policy {}: {source}", file.display())]
    Policy { file: PathBuf, source: io::Error },
    #[error("the policy {} cannot be enforced: {source}", file.display())]
    NoPolicy { file: PathBuf, source: PolicyError },
    #[error("--latency-scale must be a number from 0 to 1000, not {0}")]
    Scale(f64),
}

/// Serves until it is told to end; then says what it found of the judged groups.
pub async fn run(options: &Options, clock: Clock) -> Result<Vec<Sentence>, RegionError> {
    if !(0.0..=1_000.0).contains(&options.latency_scale) {
        return Err(RegionError::Scale(options.latency_scale));
    }
    let failed = |source| RegionError::Listen {
        address: options.listen.clone(),
        source,
    };
    let listener = TcpListener::bind(&options.listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let mut settings = Settings {
        seed: options.seed,
        latency_scale: options.latency_scale,
        ..Settings::default()
    };
    settings.faults.rules = options.mishaps.iter().map(setting::rule).collect();
    let name = settings.name.clone();
    let account = settings.account.clone();
    let mut region = Region::new(settings, clock.now());
    attach(&mut region, &options.policies)?;
    let region = Arc::new(Mutex::new(region));
    introduce(&name, &account, address);
    let jury = options
        .judged
        .clone()
        .map(|groups| Arc::new(Jury::new(groups)));
    let time = clock.clone();
    let served = async {
        match &jury {
            None => serve(Arc::clone(&region), listener, move || time.now()).await,
            Some(jury) => {
                let witness: Arc<dyn Witness> = Arc::clone(jury) as Arc<dyn Witness>;
                serve_witnessed(Arc::clone(&region), listener, move || time.now(), witness).await
            }
        }
    };
    let mut end = signal(SignalKind::terminate()).map_err(RegionError::Stopped)?;
    tokio::select! {
        biased;
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(RegionError::Stopped)?,
        _ = end.recv() => {}
        ended = served => ended.map_err(RegionError::Stopped)?,
    }
    let mut region = region.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(jury.map_or_else(Vec::new, |jury| jury.judge(&mut region, clock.now())))
}

fn introduce(name: &str, account: &str, address: SocketAddr) {
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
}

fn attach(region: &mut Region, policies: &[(String, PathBuf)]) -> Result<(), RegionError> {
    for (keys, file) in policies {
        let text = fs::read_to_string(file).map_err(|source| RegionError::Policy {
            file: file.clone(),
            source,
        })?;
        let policy = Policy::parse(&text).map_err(|source| RegionError::NoPolicy {
            file: file.clone(),
            source,
        })?;
        let role = file.file_stem().unwrap_or_default().to_string_lossy();
        region.permit(keys, &role, vec![policy]);
    }
    Ok(())
}
