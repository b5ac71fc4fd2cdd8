//! Settings of the server: every flag, with its environment variable and its default.
//!
//! Owns reading them. What they do is `server`'s.

mod access;
pub mod file;
mod keep;
mod limits;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use tracing::level_filters::LevelFilter;

use crate::observe::logs::LogFormat;
use crate::store::RuleSource;

pub use access::AccessArgs;
pub use keep::KeepArgs;
pub use limits::LimitArgs;

/// Settings of `rubor serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// A YAML file of settings, named like these flags; flags and environment go before it
    #[arg(long, env = "RUBOR_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Print the settings as they hold, each with where it comes from, and serve nothing
    #[arg(long, env = "RUBOR_PRINT_CONFIG")]
    pub print_config: bool,

    /// Folder of rule packs, or of one pack [default: ./rules if it is there, else the pack inside the binary]
    #[arg(long, env = "RUBOR_RULES", value_name = "DIR")]
    pub rules: Option<PathBuf>,

    /// Address for gRPC
    #[arg(long, env = "RUBOR_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:50051")]
    pub listen: String,

    /// Address for metrics, health and status over HTTP; empty turns it off
    #[arg(long, env = "RUBOR_ADMIN", value_name = "ADDR", default_value = "127.0.0.1:9464")]
    pub admin: String,

    /// How often the content of the rules folder is compared (500ms, 2s, 1m)
    #[arg(long, env = "RUBOR_POLL_INTERVAL", value_name = "TIME", default_value = "1s", value_parser = time_above_zero)]
    pub poll_interval: Duration,

    /// How long to answer on as before, but unhealthy, when told to stop, so that balancers notice
    #[arg(long, env = "RUBOR_DRAIN_PAUSE", value_name = "TIME", default_value = "500ms", value_parser = time)]
    pub drain_pause: Duration,

    /// How long calls in flight may take to finish after that
    #[arg(long, env = "RUBOR_DRAIN_TIMEOUT", value_name = "TIME", default_value = "20s", value_parser = time)]
    pub drain_timeout: Duration,

    /// The pack of requests that name none, where there are several
    #[arg(long, env = "RUBOR_DEFAULT_PACK", value_name = "PACK")]
    pub default_pack: Option<String>,

    /// How log entries look
    #[arg(long, env = "RUBOR_LOG_FORMAT", value_name = "FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,

    /// How much is logged: off, error, warn, info, debug or trace. Nothing about a patient is, at any level
    #[arg(long, env = "RUBOR_LOG", value_name = "LEVEL", default_value = "info")]
    pub log: LevelFilter,

    /// Send a trace of each call to the OpenTelemetry collector there (OTLP over gRPC, http://HOST:PORT)
    /// [default: where OTEL_EXPORTER_OTLP_ENDPOINT says, else none]
    #[cfg(feature = "otel")]
    #[arg(long, env = "RUBOR_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,

    /// Who may call, and over what.
    #[command(flatten)]
    pub access: AccessArgs,

    /// What is kept of evaluations.
    #[command(flatten)]
    pub keep: KeepArgs,

    /// How much is let in, and for how long.
    #[command(flatten)]
    pub limits: LimitArgs,
}

/// A command of nothing but the settings of `serve`, to read them alone.
#[derive(Debug, clap::Parser)]
#[command(no_binary_name = true)]
struct Alone {
    #[command(flatten)]
    args: ServeArgs,
}

impl Default for ServeArgs {
    /// What `rubor serve` without flags has.
    fn default() -> Self {
        <Alone as clap::Parser>::parse_from(std::iter::empty::<&str>()).args
    }
}

impl ServeArgs {
    /// Where traces go: a collector, or, empty, wherever the environment of OpenTelemetry says.
    #[cfg(feature = "otel")]
    #[must_use]
    pub fn traces_to(&self) -> Option<String> {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let by_environment =
            ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"].into_iter().any(is_set);
        self.otlp_endpoint.clone().or_else(|| by_environment.then(String::new))
    }

    /// Nowhere, in a build without the feature `otel`.
    #[cfg(not(feature = "otel"))]
    #[must_use]
    pub fn traces_to(&self) -> Option<String> {
        None
    }

    /// Whether the settings go together.
    ///
    /// # Errors
    /// The first flag that needs another one.
    pub fn check(&self) -> Result<(), String> {
        let AccessArgs { tls_cert, tls_key, client_ca, client_crl, jwks, jwt_issuer, jwt_audience, .. } = &self.access;
        let needs = [
            ("tls-cert", tls_cert.is_some(), "tls-key", tls_key.is_some()),
            ("tls-key", tls_key.is_some(), "tls-cert", tls_cert.is_some()),
            ("client-ca", client_ca.is_some(), "tls-cert", tls_cert.is_some()),
            ("client-crl", client_crl.is_some(), "client-ca", client_ca.is_some()),
            ("jwks", jwks.is_some(), "jwt-issuer", jwt_issuer.is_some()),
            ("jwks", jwks.is_some(), "jwt-audience", jwt_audience.is_some()),
            (
                "decision-log-outcomes",
                self.keep.decision_log_outcomes,
                "decision-log",
                self.keep.decision_log.is_some(),
            ),
        ];
        match needs.into_iter().find(|(_, is_given, _, is_met)| *is_given && !is_met) {
            Some((flag, _, needed, _)) => Err(format!("--{flag} needs --{needed} beside it")),
            None => Ok(()),
        }
    }

    /// Where the rules come from.
    #[must_use]
    pub fn source(&self) -> RuleSource {
        rule_source(self.rules.as_deref())
    }
}

/// The folder that is named, else `./rules` if it is there, else the pack inside the binary.
#[must_use]
pub fn rule_source(rules: Option<&Path>) -> RuleSource {
    match rules {
        Some(folder) => RuleSource::Folder(folder.to_owned()),
        None if Path::new("rules").is_dir() => RuleSource::Folder(PathBuf::from("rules")),
        None => RuleSource::Embedded,
    }
}

fn time_above_zero(text: &str) -> Result<Duration, String> {
    match time(text)? {
        Duration::ZERO => Err("must be above zero".into()),
        time => Ok(time),
    }
}

fn time(text: &str) -> Result<Duration, String> {
    let wrong = || "write a number and a unit: 500ms, 2s, 1.5s or 1m".to_owned();
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(unit_at);
    let number: f64 = number.trim().parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "ms" => number / 1000.0,
        "s" => number,
        "m" => number * 60.0,
        _ => return Err(wrong()),
    };
    // Longer than a day is a slip of the unit.
    if seconds <= 86_400.0 { Duration::try_from_secs_f64(seconds).map_err(|_| wrong()) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::{time, time_above_zero};
    use std::time::Duration;

    #[test]
    fn times_have_a_number_and_a_unit() {
        assert_eq!(time("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(time("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(time("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["", "5", "s", "-1s", "1h", "infs", "1e9s", "1 s x"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
        assert!(time("0s").is_ok() && time_above_zero("0s").is_err());
    }
}
