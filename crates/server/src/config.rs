//! How the server is set up. Each setting is one field here: its documentation is the help of the flag, and flag,
//! environment variable and key of the configuration file bear its name.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use amanuensis_transcribe::ComputeType;
use clap::builder::{BoolishValueParser, PossibleValuesParser, TypedValueParser};
use serde::{Deserialize, Deserializer, Serialize, de};
use strum::VariantNames;

use crate::decode::Decoder;
use crate::jobs::JobSettings;

/// The settings. Flags come before the environment, that before the file, and that before the defaults.
#[derive(Debug, Clone, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address to listen at; other than this machine's own, it needs API keys
    #[arg(long, env = "AMANUENSIS_HOST", value_name = "ADDRESS", default_value = "127.0.0.1", value_parser = address)]
    #[serde(deserialize_with = "address_of_file")]
    pub host: IpAddr,

    /// Port to listen at; 0 takes a free one
    #[arg(long, env = "AMANUENSIS_PORT", default_value_t = 8000)]
    pub port: u16,

    /// Keys that requests have to show one of, as `Authorization: Bearer KEY`; other users of this machine can read the
    /// flag, but not the variable nor a file
    #[arg(long, env = "AMANUENSIS_API_KEY", hide_env_values = true, value_name = "KEY", value_delimiter = ',')]
    #[serde(default)]
    pub api_key: Vec<String>,

    /// A file with further keys, a line each; empty lines and those that begin with # do not count
    #[arg(long, env = "AMANUENSIS_API_KEY_FILE", value_name = "FILE")]
    pub api_key_file: Option<PathBuf>,

    /// Do without API keys at an address that others can reach, and under any name that the machine goes by
    #[arg(long, env = "AMANUENSIS_ALLOW_ANYONE", value_parser = BoolishValueParser::new())]
    pub allow_anyone: bool,

    /// Web pages of these origins may use the server, such as `https://chat.example.org`; `*` is all
    #[arg(long, env = "AMANUENSIS_CORS_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')]
    #[serde(default)]
    pub cors_origin: Vec<String>,

    /// The model that `whisper-1` and the like mean: one of `amanuensis models list`, or a directory or weight file
    #[arg(long, env = "AMANUENSIS_DEFAULT_MODEL", value_name = "NAME|PATH", default_value = "base")]
    pub default_model: String,

    /// Never use the network; the default model has to be there
    #[arg(long, env = "AMANUENSIS_OFFLINE", value_parser = BoolishValueParser::new())]
    pub offline: bool,

    /// Arithmetic: fast, or the slower reference
    #[arg(long, env = "AMANUENSIS_COMPUTE_TYPE", value_name = "TYPE", default_value = "int8", value_parser = compute_types())]
    pub compute_type: ComputeType,

    /// Processor cores to use [default: all]
    #[arg(long, env = "AMANUENSIS_THREADS", value_name = "N")]
    pub threads: Option<usize>,

    /// Windows of all requests that a model decodes at once; no text depends on it [default: by memory]
    #[arg(long, env = "AMANUENSIS_BATCH_SIZE", value_name = "N")]
    pub batch_size: Option<usize>,

    /// Memory for models, in MiB of their files; the one that was not used for longest makes room for another
    #[arg(long, env = "AMANUENSIS_MODEL_MEMORY", value_name = "MIB", default_value_t = 4096)]
    pub model_memory: u64,

    /// Largest upload, in MiB
    #[arg(long, env = "AMANUENSIS_MAX_UPLOAD", value_name = "MIB", default_value_t = 1024)]
    pub max_upload: u64,

    /// Longest recording, in seconds
    #[arg(long, env = "AMANUENSIS_MAX_DURATION", value_name = "SECONDS", default_value_t = 4 * 3600)]
    pub max_duration: u64,

    /// Memory for decoding a recording, in MiB; what takes more is refused, and others do not notice
    #[arg(long, env = "AMANUENSIS_DECODE_MEMORY", value_name = "MIB", default_value_t = 512)]
    pub decode_memory: u64,

    /// Uploads that are received at once
    #[arg(long, env = "AMANUENSIS_MAX_UPLOADS", value_name = "N", default_value_t = 32)]
    pub max_uploads: usize,

    /// Requests that are transcribed at once; their windows share the model's steps
    #[arg(long, env = "AMANUENSIS_MAX_ACTIVE", value_name = "N", default_value_t = 16)]
    pub max_active: usize,

    /// Requests that wait for their turn; those beyond are refused with status 503
    #[arg(long, env = "AMANUENSIS_MAX_QUEUE", value_name = "N", default_value_t = 64)]
    pub max_queue: usize,

    /// Live sessions at once; those beyond are refused with status 503
    #[arg(long, env = "AMANUENSIS_MAX_LIVE", value_name = "N", default_value_t = 8)]
    pub max_live: usize,

    /// Connections that are open at once; those beyond wait to be accepted
    #[arg(long, env = "AMANUENSIS_MAX_CONNECTIONS", value_name = "N", default_value_t = 512)]
    pub max_connections: usize,

    /// Requests that a key may make in a minute, or all callers together where there are no keys; those beyond are refused
    /// with status 429; 0 is no limit
    #[arg(long, env = "AMANUENSIS_REQUESTS_PER_MINUTE", value_name = "N", default_value_t = 0)]
    pub requests_per_minute: u32,

    /// Time for the head of a request to arrive, in seconds
    #[arg(long, env = "AMANUENSIS_HEADER_TIMEOUT", value_name = "SECONDS", default_value_t = 10)]
    pub header_timeout: u64,

    /// Time for an upload to arrive, in seconds
    #[arg(long, env = "AMANUENSIS_UPLOAD_TIMEOUT", value_name = "SECONDS", default_value_t = 600)]
    pub upload_timeout: u64,

    /// Time for a transcription, in seconds, from when its turn has come
    #[arg(long, env = "AMANUENSIS_REQUEST_TIMEOUT", value_name = "SECONDS", default_value_t = 3600)]
    pub request_timeout: u64,

    /// Time that requests have to finish when the server is told to stop, in seconds
    #[arg(long, env = "AMANUENSIS_SHUTDOWN_TIMEOUT", value_name = "SECONDS", default_value_t = 30)]
    pub shutdown_timeout: u64,

    /// Directory of the jobs, for this server alone [default: in the user's data directory]
    #[arg(long, env = "AMANUENSIS_DATA_DIR", value_name = "DIRECTORY")]
    pub data_dir: Option<PathBuf>,

    /// A folder of recordings that jobs may name instead of uploading them
    #[arg(long, env = "AMANUENSIS_JOB_FOLDER", value_name = "DIRECTORY")]
    pub job_folder: Option<PathBuf>,

    /// Jobs that are done at once; their windows share the model's steps with those of requests
    #[arg(long, env = "AMANUENSIS_MAX_ACTIVE_JOBS", value_name = "N", default_value_t = 2)]
    pub max_active_jobs: usize,

    /// Jobs that wait for their turn; those beyond are refused with status 503
    #[arg(long, env = "AMANUENSIS_MAX_QUEUED_JOBS", value_name = "N", default_value_t = 100)]
    pub max_queued_jobs: usize,

    /// Longest recording of a job, in seconds
    #[arg(long, env = "AMANUENSIS_MAX_JOB_DURATION", value_name = "SECONDS", default_value_t = 24 * 3600)]
    pub max_job_duration: u64,

    /// Time for a job, in seconds, from when work on it begins; anew when the server is started
    #[arg(long, env = "AMANUENSIS_JOB_TIMEOUT", value_name = "SECONDS", default_value_t = 7 * 24 * 3600)]
    pub job_timeout: u64,

    /// How long a job that has ended is kept with its transcript, in seconds; 0 is for ever
    #[arg(long, env = "AMANUENSIS_KEEP_JOBS", value_name = "SECONDS", default_value_t = 7 * 24 * 3600)]
    pub keep_jobs: u64,

    /// Print a line for every request
    #[arg(long, env = "AMANUENSIS_ACCESS_LOG", value_parser = BoolishValueParser::new())]
    pub access_log: bool,
}

fn compute_types() -> impl TypedValueParser<Value = ComputeType> {
    PossibleValuesParser::new(ComputeType::VARIANTS).try_map(|name| name.parse::<ComputeType>())
}

/// Settings that make no sense, or that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The configuration file is no TOML, or holds what is no setting.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A setting, or two together, make no sense.
    #[error("{0}")]
    Invalid(String),
}

impl Config {
    /// These settings with those of the TOML file `path` in place of all but the ones that are `given`, by name.
    ///
    /// # Errors
    /// [`ConfigError::Read`], [`ConfigError::File`].
    pub fn or_file(&self, path: &Path, given: &HashSet<&str>) -> Result<Self, ConfigError> {
        let unsuitable = |error: &dyn std::fmt::Display| ConfigError::File {
            path: path.to_owned(),
            reason: error.to_string().trim_end().to_owned(),
        };
        let read = std::fs::read_to_string(path);
        let text = read.map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let file: toml::Table = text.parse().map_err(|error| unsuitable(&error))?;
        let mut table = self.table();
        // What gives way has to be a setting, too.
        let mut whole = table.clone();
        whole.extend(file.clone());
        whole.try_into::<Self>().map_err(|error| unsuitable(&error))?;
        table.extend(file.into_iter().filter(|(name, _)| !given.contains(name.as_str())));
        table.try_into().map_err(|error| unsuitable(&error))
    }

    /// Whether the settings make sense.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`].
    pub fn check(&self) -> Result<(), ConfigError> {
        let counts = [
            ("max_upload", self.max_upload),
            ("max_duration", self.max_duration),
            ("decode_memory", self.decode_memory),
            ("max_uploads", self.max_uploads as u64),
            ("max_active", self.max_active as u64),
            ("max_live", self.max_live as u64),
            ("max_connections", self.max_connections as u64),
            ("header_timeout", self.header_timeout),
            ("upload_timeout", self.upload_timeout),
            ("request_timeout", self.request_timeout),
            ("max_active_jobs", self.max_active_jobs as u64),
            ("max_queued_jobs", self.max_queued_jobs as u64),
            ("max_job_duration", self.max_job_duration),
            ("job_timeout", self.job_timeout),
        ];
        let sizes = [("threads", self.threads, 1024), ("batch_size", self.batch_size, 32)];
        if let Some((name, _)) = counts.iter().find(|(_, count)| !(1..=MOST).contains(count)) {
            return Err(ConfigError::Invalid(format!("{name} has to be at least 1, and not above {MOST}")));
        }
        if self.max_queue as u64 > MOST {
            return Err(ConfigError::Invalid(format!("max_queue is at most {MOST}")));
        }
        for (name, size, most) in sizes {
            if size.is_some_and(|size| !(1..=most).contains(&size)) {
                return Err(ConfigError::Invalid(format!("{name} lies between 1 and {most}")));
            }
        }
        if let Some(origin) = self.cors_origin.iter().find(|origin| *origin != "*" && !is_origin(origin)) {
            return Err(ConfigError::Invalid(format!(
                "cors_origin: {origin:?} is no origin as browsers send it: `https://chat.example.org`, in lower case, \
                 with a port if it is not the usual one, and nothing behind"
            )));
        }
        if let Some(folder) = self.job_folder.as_ref().filter(|folder| !folder.is_dir()) {
            return Err(ConfigError::Invalid(format!("job_folder: {} is no directory", folder.display())));
        }
        Ok(())
    }

    /// The settings as a configuration file, API keys left out.
    pub fn to_toml(&self) -> String {
        let mut table = self.table();
        table.remove("api_key");
        format!("# API keys are left out: the file of api_key_file may hold them.\n{table}")
    }

    fn table(&self) -> toml::Table {
        toml::Table::try_from(self).expect("numbers, texts and lists of them are TOML")
    }

    pub(crate) fn max_upload_bytes(&self) -> u64 {
        self.max_upload << 20
    }

    /// What decodes recordings: `worker`, if there is such a program.
    pub(crate) fn decoder(&self, worker: Option<PathBuf>) -> Decoder {
        worker.map_or(Decoder::InProcess, |program| Decoder::Worker { program, memory: self.decode_memory })
    }

    /// How jobs are done, which are kept in `directory`.
    pub(crate) fn jobs(&self, directory: PathBuf) -> JobSettings {
        let seconds = Duration::from_secs;
        JobSettings {
            directory,
            folder: self.job_folder.clone(),
            workers: self.max_active_jobs,
            max_queued: self.max_queued_jobs,
            max_duration: seconds(self.max_job_duration),
            timeout: seconds(self.job_timeout),
            retention: (self.keep_jobs > 0).then(|| seconds(self.keep_jobs)),
        }
    }

    pub(crate) fn upload_timeout(&self) -> Duration {
        Duration::from_secs(self.upload_timeout)
    }
}

/// An address to listen at.
fn address(text: &str) -> Result<IpAddr, &'static str> {
    if text == "localhost" {
        return Ok(Ipv4Addr::LOCALHOST.into());
    }
    text.parse().map_err(|_| "the address is an IP address of this machine, or localhost")
}

fn address_of_file<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IpAddr, D::Error> {
    address(&String::deserialize(deserializer)?).map_err(de::Error::custom)
}

/// Whether browsers call a page's origin so.
fn is_origin(text: &str) -> bool {
    let is_of = |text: &str, marks: &str| {
        let is_known = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || marks.contains(letter);
        !text.is_empty() && text.chars().all(is_known)
    };
    let Some((scheme, host)) = text.split_once("://") else { return false };
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    };
    let is_usual = |port: &str| matches!((scheme, port), ("http", "80") | ("https", "443"));
    let is_port = |port: &str| port.parse::<u16>().is_ok() && !is_usual(port);
    is_of(scheme, "+-.") && is_of(name, "-._[:]") && port.is_none_or(is_port)
}

/// Above any use, and far below what would overflow.
const MOST: u64 = 1 << 30;

#[cfg(test)]
mod tests {
    use clap::{Args, Command, FromArgMatches};

    use super::*;

    fn config(arguments: &[&str]) -> Config {
        let command = Config::augment_args(Command::new("serve"));
        let matches = command.try_get_matches_from(["serve"].iter().chain(arguments)).unwrap();
        Config::from_arg_matches(&matches).unwrap()
    }

    #[test]
    fn names_agree() {
        for argument in Config::augment_args(Command::new("serve")).get_arguments() {
            let name = argument.get_id().as_str();
            assert_eq!(argument.get_long().unwrap(), name.replace('_', "-"));
            assert_eq!(argument.get_env().unwrap().to_str().unwrap(), format!("AMANUENSIS_{}", name.to_uppercase()));
        }
    }

    #[test]
    fn a_file_gives_way_to_what_is_given() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("server.toml");
        std::fs::write(&path, "port = 9000\nhost = \"::1\"\ncors_origin = [\"https://a.example\"]\nthreads = 3\n")
            .unwrap();
        let read = config(&["--port", "7000"]).or_file(&path, &HashSet::from(["port"])).unwrap();
        assert_eq!((read.port, read.host.to_string().as_str(), read.threads), (7000, "::1", Some(3)));
        assert_eq!(read.cors_origin, ["https://a.example"]);
        assert_eq!(read.max_queue, config(&[]).max_queue);
        std::fs::write(&path, "host = \"localhost\"").unwrap();
        assert!(config(&[]).or_file(&path, &HashSet::new()).unwrap().host.is_loopback());
        std::fs::write(&path, "config = \"x\"").unwrap();
        assert!(config(&[]).or_file(&path, &HashSet::from(["config"])).is_err());
        for (text, problem) in [("prot = 1", "prot"), ("port = \"x\"", "u16"), ("port = ", "port")] {
            std::fs::write(&path, text).unwrap();
            let error = config(&[]).or_file(&path, &HashSet::new()).unwrap_err().to_string();
            assert!(error.contains(problem) && error.contains("server.toml"), "{error}");
        }
        assert!(config(&[]).or_file(&directory.path().join("none"), &HashSet::new()).is_err());
    }

    #[test]
    fn what_is_printed_is_a_file_without_keys() {
        let given = config(&["--api-key", "secret,other", "--batch-size", "4"]);
        let text = given.to_toml();
        assert!(!text.contains("secret") && !text.contains("api_key =") && text.contains("batch_size = 4"), "{text}");
        let read: Config = toml::from_str(&text).unwrap();
        assert_eq!(Config { api_key: given.api_key.clone(), ..read }, given);
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(config(&[]).check().is_ok());
        for arguments in [["--max-active", "0"], ["--batch-size", "33"], ["--threads", "0"], ["--max-upload", "0"]] {
            assert!(config(&arguments).check().is_err(), "{arguments:?}");
        }
        assert!(config(&["--job-folder", "/no/such/folder"]).check().is_err());
        for origin in ["", "x", "https://x/", "https://x/path", "HTTPS://x", "https://x:443", "https://", "//x", "null"]
        {
            assert!(config(&["--cors-origin", origin]).check().is_err(), "{origin:?}");
        }
        for origin in ["*", "https://x", "http://127.0.0.1:3000", "http://[::1]:3000", "tauri://localhost"] {
            assert!(config(&["--cors-origin", origin]).check().is_ok(), "{origin:?}");
        }
    }
}
