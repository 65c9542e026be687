//! What can be said on the command line.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::SignedDuration;

/// Keeps a stateful single EC2 instance alive across failures: its data
/// volumes (EBS) and its Elastic IP move to the replacement, in whatever
/// Availability Zone that comes up.
#[derive(Debug, Parser)]
#[command(name = "rehome", version, arg_required_else_help = true)]
#[command(after_help = "\
Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 not settled in
time (running it again goes on). Logs go to stderr; RUST_LOG sets how much.")]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// From the words this process was started with, or from who started it:
    /// AWS Lambda runs a file named `bootstrap`, without a word.
    pub fn read() -> Self {
        let words: Vec<OsString> = std::env::args_os().collect();
        let api = std::env::var_os("AWS_LAMBDA_RUNTIME_API");
        if is_lambda(&words, api.as_deref()) {
            let command = Command::Lambda(Lambda::default());
            return Self { command };
        }
        Self::parse_from(words)
    }
}

fn is_lambda(words: &[OsString], api: Option<&OsStr>) -> bool {
    let [name] = words else { return false };
    let named = Path::new(name).file_name() == Some(OsStr::new("bootstrap"));
    named && api.is_some_and(|api| !api.is_empty())
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring this instance its belongings, once, at boot
    Bootstrap(Bootstrap),
    /// Watch over groups, on their instances or from elsewhere
    Daemon(Daemon),
    /// Serve events as an AWS Lambda function
    Lambda(Lambda),
    /// Show how each group is, and what it waits for
    Status(Look),
    /// Show what would be done now, and change nothing
    Plan(Look),
    /// Say whether a failover would work, and what to mend
    Check(Check),
    /// Take a set of snapshots of the live data now
    Snapshot(Snapshot),
    /// Tell what became of a group: terms, moves, what each took and lost
    History(History),
    /// Make what the present holder already has the group's own
    Adopt(Adopt),
    /// Make another instance the holder
    Switchover(Switchover),
    /// Print the smallest IAM policy for a configuration
    IamPolicy(IamPolicy),
    /// Let file systems write again that a killed rehome left frozen
    Thaw(Configuration),
    /// Hold file systems still until standard input ends
    #[command(hide = true)]
    FreezeGuard(FreezeGuard),
    /// Rehearse a failover on the emulated region
    #[cfg(feature = "drill")]
    Drill(Drill),
    /// Serve the emulated region on a port, for any AWS client
    #[cfg(feature = "drill")]
    Region(Region),
}

#[derive(Debug, Default, Args)]
pub struct Configuration {
    /// The configuration file; without it, $REHOME_CONFIG holds the TOML itself
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example, as EC2 user data:
  rehome bootstrap --config /etc/rehome.toml --timeout 10m")]
pub struct Bootstrap {
    #[command(flatten)]
    pub configuration: Configuration,
    /// Which group this instance belongs to, if the configuration has several
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
    /// How long to try; running it again goes on
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = duration)]
    pub timeout: SignedDuration,
    /// Print one JSON object at the end
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example, as a systemd service (Type=notify):
  rehome daemon --config /etc/rehome.toml

SIGHUP reads the configuration anew; a broken one is refused, and the old one
stays. SIGTERM stops between two steps.")]
pub struct Daemon {
    #[command(flatten)]
    pub configuration: Configuration,
}

#[derive(Debug, Default, Args)]
#[command(after_help = "\
AWS Lambda (provided.al2023) runs this: name the file `bootstrap`, and put the
TOML into $REHOME_CONFIG, or beside it and its name here.")]
pub struct Lambda {
    #[command(flatten)]
    pub configuration: Configuration,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  rehome status --config rehome.toml
  rehome plan --config rehome.toml --group orders-db --json")]
pub struct Look {
    #[command(flatten)]
    pub configuration: Configuration,
    /// Only this group
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples, from anywhere and then on the instance itself, where it sees more:
  rehome check --config rehome.toml
  rehome check orders-db --config /etc/rehome.toml --json

Changes nothing. Each line that is not right says what would go wrong in a
failover, and the command that mends it; docs/checking.md explains all of them.
Exit code 1: a failover would not work, or what it rests on could not be read.
Warnings, and other things that could not be read, do not count.")]
pub struct Check {
    /// Only this group
    pub group: Option<String>,
    #[command(flatten)]
    pub configuration: Configuration,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example, before an upgrade of the database:
  rehome snapshot orders-db --config rehome.toml --wait

The set is like the periodic ones: all volumes of the group in one moment, as
after a power cut. With `freeze`, and on the holder itself, they are frozen for
that moment. It counts as a periodic set: keep_snapshots decides when it goes.
Exit code 3: begun, and not complete in time.")]
pub struct Snapshot {
    /// The group
    pub group: String,
    #[command(flatten)]
    pub configuration: Configuration,
    /// Wait until it can be restored from
    #[arg(long)]
    pub wait: bool,
    /// How long to wait
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration, requires = "wait")]
    pub timeout: SignedDuration,
    /// Print one JSON object at the end
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  rehome history orders-db --config rehome.toml

Told from what AWS still knows: tags on volumes and snapshots, and six weeks of
scaling activities. What cannot be told is said to be unknown.")]
pub struct History {
    /// The group
    pub group: String,
    #[command(flatten)]
    pub configuration: Configuration,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example, before rehome looks after an instance that had its data before:
  rehome adopt orders-db --config rehome.toml")]
pub struct Adopt {
    /// The group
    pub group: String,
    #[command(flatten)]
    pub configuration: Configuration,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  rehome switchover gateway --config rehome.toml
  rehome switchover gateway --to i-0primary --yes     # fail back

The other member of a pair takes over; Auto Scaling replaces the member of a
group. Whoever looks after the group carries it out; this command asks for it,
helps, and waits until everything is in its place. Exit code 3: not in time, but
on its way.")]
pub struct Switchover {
    /// The group
    pub group: String,
    #[command(flatten)]
    pub configuration: Configuration,
    /// The member of a pair that is to hold; without it, the other one
    #[arg(long, value_name = "INSTANCE")]
    pub to: Option<String>,
    /// How long to wait until it is done
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = duration)]
    pub timeout: SignedDuration,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Print one JSON object at the end
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  rehome iam-policy --config rehome.toml --place instance \\
    --region eu-west-1 --account 123456789012 > policy.json

Prints what rehome itself needs, as JSON; asks nobody. Logs of a function and
what people need for `adopt`: docs/permissions.md.")]
pub struct IamPolicy {
    #[command(flatten)]
    pub configuration: Configuration,
    /// Where rehome runs, and so under whose role
    #[arg(long, value_enum)]
    pub place: Place,
    /// Only this group
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
    /// The region; without it, any
    #[arg(long, value_name = "REGION", env = "AWS_REGION", value_parser = region_name)]
    pub region: Option<String>,
    /// The account; without it, the role's own
    #[arg(long, value_name = "NUMBER", value_parser = account_number)]
    pub account: Option<String>,
    /// The partition; without it, the region's
    #[arg(long, value_name = "NAME", value_parser = ["aws", "aws-cn", "aws-eusc", "aws-us-gov"])]
    pub partition: Option<String>,
    /// It is JSON in any case
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Place {
    /// On an instance of the group
    Instance,
    /// A daemon elsewhere
    Controller,
    /// A function
    Lambda,
    /// At a person's terminal: all commands but `adopt`
    Operator,
}

/// What a process that takes snapshots starts beside itself.
#[derive(Debug, Args)]
pub struct FreezeGuard {
    /// Thaw after this time in any case
    #[arg(long, value_name = "N")]
    pub seconds: u64,
    /// Mount points
    #[arg(required = true)]
    pub points: Vec<PathBuf>,
}

#[cfg(feature = "drill")]
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  rehome drill
  rehome drill --scenario zone-outage --seed 7 --html drill.html
  rehome drill --config rehome.toml --json
  sudo rehome drill --live --rounds 5")]
pub struct Drill {
    /// A scenario's name, a file that ends in .txt, or all
    #[arg(long, value_name = "NAME|all", default_value = "all")]
    pub scenario: String,
    /// The same seed gives the same drill
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Rehearse over so many seeds and print statistics
    #[arg(long, value_name = "N", conflicts_with_all = ["json", "html"])]
    pub seeds: Option<u64>,
    /// Print one JSON object per scenario
    #[arg(long)]
    pub json: bool,
    /// Write a page for a browser as well
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Rehearse the first group of this configuration
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print the project's own figures: RTO, calls, drills per minute
    #[arg(long, conflicts_with_all = ["scenario", "seeds", "json", "html", "config"])]
    pub bench: bool,
    /// Carry real data: PostgreSQL on loop devices, in namespaces (root, Linux)
    #[arg(long, conflicts_with_all = ["scenario", "seeds", "html", "config", "bench"])]
    pub live: bool,
    /// With --live: how many failovers
    #[arg(long, value_name = "N", default_value_t = 5, requires = "live",
          value_parser = clap::value_parser!(u16).range(1..))]
    pub rounds: u16,
    /// The drill itself, in namespaces of its own
    #[arg(long, requires = "live", hide = true)]
    pub inside: bool,
    /// What befalls the runner that makes the Nth call, or with DetachVolume.2 the
    /// second one of that action: killed before or after it, the call held until
    /// others made K, or the process frozen
    #[arg(
        long,
        value_name = "N:before|after|held-K|frozen-before-Ts|frozen-after-Ts",
        value_delimiter = ','
    )]
    pub strike: Vec<crate::drill::blows::Blow>,
    /// One runner more looks after the group
    #[arg(long)]
    pub second_runner: bool,
    /// Kill a runner at every call in turn, before and after it
    #[arg(long, group = "exploration", conflicts_with_all = ["seeds", "html", "bench", "strike"])]
    pub crashes: bool,
    /// Kill runners at every two calls
    #[arg(long, group = "exploration", conflicts_with_all = ["seeds", "html", "bench", "strike"])]
    pub crash_pairs: bool,
    /// Freeze a runner at every call in turn, for minutes and for an hour
    #[arg(long, group = "exploration", conflicts_with_all = ["seeds", "html", "bench", "strike"])]
    pub pauses: bool,
    /// Two runners or more, their calls overtaking each other in every way
    #[arg(long, group = "exploration", conflicts_with_all = ["seeds", "html", "bench", "strike"])]
    pub interleave: bool,
    /// With --interleave: how many calls of one story are overtaken at most
    #[arg(long, value_name = "N", default_value_t = 1, requires = "interleave",
          value_parser = clap::value_parser!(u8).range(1..=4))]
    pub bound: u8,
    /// Only every Nth call in turn, moved by the seed
    #[arg(long, value_name = "N", default_value_t = 1, requires = "exploration",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub every: u64,
    /// At no more than N calls of each story, spread over it, moved by the seed
    #[arg(long, value_name = "N", requires = "exploration", conflicts_with = "every",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub most: Option<u64>,
    /// Tales drawn from so many seeds: groups, faults, crashes and incidents
    #[arg(long, value_name = "N", conflicts_with_all = ["scenario", "seeds", "json", "html", "config", "bench", "strike"])]
    pub swarm: Option<u64>,
    /// How many drills at once; without it, as many as there are processors
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
}

#[cfg(feature = "drill")]
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  rehome region --listen 127.0.0.1:5000 --seed 1 --latency-scale 0.1
  rehome region --policy 'i-*=instance.json' --policy drill=controller.json")]
pub struct Region {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:5000", value_parser = address)]
    pub listen: String,
    /// The same seed gives the same region
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Every duration of the region is multiplied by this
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = scale)]
    pub latency_scale: f64,
    /// What goes wrong on the way, as in a scenario, such as "Describe* garbled 5%"
    #[arg(long, value_name = "ACTION KIND PERCENT%", value_parser = mishap)]
    pub mishap: Vec<crate::drill::scenario::Mishap>,
    /// Judge at the end, on SIGTERM or SIGINT, whether these groups were kept
    /// as promised, and print it as JSON; 1 if not
    #[arg(long, value_name = "CONFIG")]
    pub judge: Option<PathBuf>,
    /// Refuse what this IAM policy does not allow, to everyone or to the access
    /// keys that fit KEY (* fits anything; an instance's is its id)
    #[arg(long, value_name = "[KEY=]FILE", value_parser = attached)]
    pub policy: Vec<(String, PathBuf)>,
}

#[cfg(feature = "drill")]
fn mishap(text: &str) -> Result<crate::drill::scenario::Mishap, String> {
    crate::drill::scenario::mishap(text)
}

fn duration(text: &str) -> Result<SignedDuration, String> {
    match text.parse::<SignedDuration>() {
        Ok(duration) if duration.is_positive() && duration <= SignedDuration::from_hours(48) => {
            Ok(duration)
        }
        Ok(_) => Err("must be longer than nothing and at most 48h".to_owned()),
        Err(_) => Err("write s, m or h after each number, such as 90s, 15m or 1h30m".to_owned()),
    }
}

fn region_name(text: &str) -> Result<String, String> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    match text.contains('-') && text.bytes().all(plain) {
        true => Ok(text.to_owned()),
        false => Err("write a region, such as eu-west-1".to_owned()),
    }
}

fn account_number(text: &str) -> Result<String, String> {
    match text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit()) {
        true => Ok(text.to_owned()),
        false => Err("write the twelve digits of the account".to_owned()),
    }
}

#[cfg(feature = "drill")]
fn address(text: &str) -> Result<String, String> {
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    match port.map(|(_, port)| port.parse::<u16>()) {
        Some(Ok(_)) => Ok(text.to_owned()),
        _ => Err("write a host and a port, such as 127.0.0.1:5000".to_owned()),
    }
}

#[cfg(feature = "drill")]
fn attached(text: &str) -> Result<(String, PathBuf), String> {
    let (keys, file) = text.split_once('=').unwrap_or(("*", text));
    match keys.is_empty() || file.is_empty() {
        true => Err("write a file, or an access key, = and a file".to_owned()),
        false => Ok((keys.to_owned(), PathBuf::from(file))),
    }
}

#[cfg(feature = "drill")]
fn scale(text: &str) -> Result<f64, String> {
    let scale = text.parse::<f64>().ok();
    scale
        .filter(|scale| (0.0..=1_000.0).contains(scale))
        .ok_or_else(|| "write a number from 0 to 1000".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_contract_is_understood() {
        for line in [
            "rehome bootstrap --config rehome.toml --timeout 15m",
            "rehome daemon --config rehome.toml",
            "rehome lambda",
            "rehome lambda --config rehome.toml",
            "rehome status --json",
            "rehome plan",
            "rehome adopt orders-db --yes",
            "rehome check --config rehome.toml",
            "rehome check --config rehome.toml orders-db --json",
            "rehome snapshot orders-db --wait --timeout 20m --json",
            "rehome history orders-db --json --config rehome.toml",
            "rehome thaw --config rehome.toml",
            "rehome iam-policy --place lambda --region eu-west-1 --account 123456789012 --json",
            "rehome freeze-guard --seconds 5 -- /var/lib/postgresql",
            "rehome switchover gateway --to i-0primary --timeout 20m --yes --json",
        ] {
            assert!(parse(line).is_ok(), "{line}");
        }
        let Command::Bootstrap(bootstrap) = parse("rehome bootstrap").unwrap().command else {
            panic!("another command");
        };
        assert_eq!(bootstrap.timeout, SignedDuration::from_mins(15));
    }

    #[test]
    fn lambda_starts_a_file_named_bootstrap() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        let api = Some(OsStr::new("127.0.0.1:9001"));
        for yes in ["bootstrap", "/var/task/bootstrap", "./bootstrap"] {
            assert!(is_lambda(&words(yes), api), "{yes}");
            assert!(!is_lambda(&words(yes), None), "{yes}");
            assert!(!is_lambda(&words(yes), Some(OsStr::new(""))), "{yes}");
        }
        for no in [
            "rehome",
            "rehome bootstrap",
            "bootstrap status",
            "/bootstrap/rehome",
        ] {
            assert!(!is_lambda(&words(no), api), "{no}");
        }
        assert!(!is_lambda(&[], api));
    }

    #[cfg(feature = "drill")]
    #[test]
    fn so_is_the_drill() {
        for line in [
            "rehome drill --scenario all --seed 3 --json --html x.html --config rehome.toml",
            "rehome drill --seeds 100",
            "rehome drill --bench",
            "rehome drill --live --rounds 3 --seed 7 --json",
            "rehome drill --scenario same-zone --strike 12:before,40:after",
            "rehome drill --scenario same-zone --strike DetachVolume.1:after",
            "rehome drill --crashes --every 20 --seed 7 --jobs 2 --json",
            "rehome drill --crash-pairs --scenario first-boot",
            "rehome drill --pauses --most 600",
            "rehome drill --interleave --bound 2 --scenario first-boot",
            "rehome drill --scenario first-boot --second-runner --strike 3:held-2",
            "rehome drill --swarm 1000 --seed 7",
            "rehome region --listen [::1]:0 --seed 2 --latency-scale 0.5",
            "rehome region --policy a.json --policy i-*=b.json",
        ] {
            assert!(parse(line).is_ok(), "{line}");
        }
        for line in [
            "rehome drill --rounds 3",
            "rehome drill --crashes --pauses",
            "rehome drill --bound 2",
            "rehome drill --every 3",
            "rehome drill --most 3",
            "rehome drill --crashes --every 3 --most 3",
            "rehome drill --live --rounds 0",
            "rehome drill --live --bench",
            "rehome region --listen nowhere",
            "rehome region --latency-scale -1",
            "rehome region --policy =a.json",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_code_2() {
        for line in [
            "rehome",
            "rehome frobnicate",
            "rehome bootstrap --timeout soon",
            "rehome bootstrap --timeout 0s",
            "rehome bootstrap --timeout 15",
            "rehome adopt",
            "rehome check one two",
            "rehome snapshot",
            "rehome snapshot orders-db --timeout 5m",
            "rehome history",
            "rehome iam-policy",
            "rehome iam-policy --place moon",
            "rehome iam-policy --place instance --account 12",
            "rehome iam-policy --place instance --region Europe",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }
}
