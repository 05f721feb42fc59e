//! The settings of the server. Each setting is one field of [`Config`]. The field's doc comment is the help text of
//! the flag. The flag, the environment variable and the key in the configuration file are named after the field.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use amanuensis_decode_worker::Decoder;
use amanuensis_transcribe::ComputeType;
use clap::builder::{BoolishValueParser, PossibleValuesParser, TypedValueParser};
use serde::{Deserialize, Deserializer, Serialize, de};
use strum::VariantNames;

/// Upper limit of all settings that are counts, sizes or durations. It is far above useful values, and small enough
/// that no arithmetic overflows.
const MAX_VALUE: u64 = 1 << 30;

/// The settings of the server. Flags have the highest priority, then environment variables, then the configuration
/// file, then the defaults.
#[derive(Debug, Clone, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// IP address to listen on; an address other than a loopback address requires API keys
    #[arg(long, env = "AMANUENSIS_HOST", value_name = "ADDRESS", default_value = "127.0.0.1", value_parser = address)]
    #[serde(deserialize_with = "deserialize_address")]
    pub host: IpAddr,

    /// Port to listen on; 0 selects a free port
    #[arg(long, env = "AMANUENSIS_PORT", default_value_t = 8000)]
    pub port: u16,

    /// API keys; a request must send one as `Authorization: Bearer KEY`. Other users of this machine can read the flag, but
    /// not the environment variable or a file
    #[arg(long, env = "AMANUENSIS_API_KEY", hide_env_values = true, value_name = "KEY", value_delimiter = ',')]
    #[serde(default)]
    pub api_key: Vec<String>,

    /// File with more API keys, one key per line; empty lines and lines that start with # are ignored
    #[arg(long, env = "AMANUENSIS_API_KEY_FILE", value_name = "FILE")]
    pub api_key_file: Option<PathBuf>,

    /// Allow requests without an API key, on every address and for every host name
    #[arg(long, env = "AMANUENSIS_ALLOW_ANYONE", value_parser = BoolishValueParser::new())]
    pub allow_anyone: bool,

    /// Origins of web pages that may use the server, such as `https://chat.example.org`; `*` allows all origins
    #[arg(long, env = "AMANUENSIS_CORS_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')]
    #[serde(default)]
    pub cors_origin: Vec<String>,

    /// Model that `whisper-1` and similar names select: a name from `amanuensis models list`, a directory, or a
    /// weight file
    #[arg(long, env = "AMANUENSIS_DEFAULT_MODEL", value_name = "NAME|PATH", default_value = "base")]
    pub default_model: String,

    /// Download nothing; the default model must already be installed
    #[arg(long, env = "AMANUENSIS_OFFLINE", value_parser = BoolishValueParser::new())]
    pub offline: bool,

    /// Compute type: int8 is fast; f32 is slower and serves as the reference
    #[arg(long, env = "AMANUENSIS_COMPUTE_TYPE", value_name = "TYPE", default_value = "int8", value_parser = compute_types())]
    pub compute_type: ComputeType,

    /// Number of CPU threads [default: all cores]
    #[arg(long, env = "AMANUENSIS_THREADS", value_name = "N")]
    pub threads: Option<usize>,

    /// Maximum number of windows that a model decodes in one batch, over all requests; does not change the results
    /// [default: by memory]
    #[arg(long, env = "AMANUENSIS_BATCH_SIZE", value_name = "N")]
    pub batch_size: Option<usize>,

    /// Memory limit for loaded models, in MiB of their files; the least recently used model is unloaded to make room
    #[arg(long, env = "AMANUENSIS_MODEL_MEMORY", value_name = "MIB", default_value_t = 4096)]
    pub model_memory: u64,

    /// Maximum size of an upload, in MiB
    #[arg(long, env = "AMANUENSIS_MAX_UPLOAD", value_name = "MIB", default_value_t = 1024)]
    pub max_upload: u64,

    /// Maximum duration of a recording, in seconds
    #[arg(long, env = "AMANUENSIS_MAX_DURATION", value_name = "SECONDS", default_value_t = 4 * 3600)]
    pub max_duration: u64,

    /// Memory limit for decoding one recording, in MiB; a recording that needs more is rejected, and other requests
    /// are not affected
    #[arg(long, env = "AMANUENSIS_DECODE_MEMORY", value_name = "MIB", default_value_t = 512)]
    pub decode_memory: u64,

    /// Maximum number of concurrent uploads
    #[arg(long, env = "AMANUENSIS_MAX_UPLOADS", value_name = "N", default_value_t = 32)]
    pub max_uploads: usize,

    /// Maximum number of requests that are transcribed concurrently; their windows are batched together
    #[arg(long, env = "AMANUENSIS_MAX_ACTIVE", value_name = "N", default_value_t = 16)]
    pub max_active: usize,

    /// Maximum number of queued requests; further requests are rejected with status 503
    #[arg(long, env = "AMANUENSIS_MAX_QUEUE", value_name = "N", default_value_t = 64)]
    pub max_queue: usize,

    /// Maximum number of concurrent live sessions; further sessions are rejected with status 503
    #[arg(long, env = "AMANUENSIS_MAX_LIVE", value_name = "N", default_value_t = 8)]
    pub max_live: usize,

    /// Maximum number of open connections; further connections wait until one is closed
    #[arg(long, env = "AMANUENSIS_MAX_CONNECTIONS", value_name = "N", default_value_t = 512)]
    pub max_connections: usize,

    /// Maximum number of requests per minute for each API key, or for all clients together if no keys are set;
    /// further requests are rejected with status 429; 0 means no limit
    #[arg(long, env = "AMANUENSIS_REQUESTS_PER_MINUTE", value_name = "N", default_value_t = 0)]
    pub requests_per_minute: u32,

    /// Timeout for receiving the headers of a request, in seconds
    #[arg(long, env = "AMANUENSIS_HEADER_TIMEOUT", value_name = "SECONDS", default_value_t = 10)]
    pub header_timeout: u64,

    /// Timeout for receiving an upload, in seconds
    #[arg(long, env = "AMANUENSIS_UPLOAD_TIMEOUT", value_name = "SECONDS", default_value_t = 600)]
    pub upload_timeout: u64,

    /// Timeout of a transcription, in seconds, not counting the time in the queue
    #[arg(long, env = "AMANUENSIS_REQUEST_TIMEOUT", value_name = "SECONDS", default_value_t = 3600)]
    pub request_timeout: u64,

    /// Time that running requests get to finish when the server shuts down, in seconds
    #[arg(long, env = "AMANUENSIS_SHUTDOWN_TIMEOUT", value_name = "SECONDS", default_value_t = 30)]
    pub shutdown_timeout: u64,

    /// Directory where jobs are stored; only one server may use it [default: in the user's data directory]
    #[arg(long, env = "AMANUENSIS_DATA_DIR", value_name = "DIRECTORY")]
    pub data_dir: Option<PathBuf>,

    /// Folder of recordings; a job may name a file in it instead of uploading one
    #[arg(long, env = "AMANUENSIS_JOB_FOLDER", value_name = "DIRECTORY")]
    pub job_folder: Option<PathBuf>,

    /// Maximum number of jobs that run concurrently; their windows are batched with the windows of requests
    #[arg(long, env = "AMANUENSIS_MAX_ACTIVE_JOBS", value_name = "N", default_value_t = 2)]
    pub max_active_jobs: usize,

    /// Maximum number of queued jobs; further jobs are rejected with status 503
    #[arg(long, env = "AMANUENSIS_MAX_QUEUED_JOBS", value_name = "N", default_value_t = 100)]
    pub max_queued_jobs: usize,

    /// Maximum duration of a job's recording, in seconds
    #[arg(long, env = "AMANUENSIS_MAX_JOB_DURATION", value_name = "SECONDS", default_value_t = 24 * 3600)]
    pub max_job_duration: u64,

    /// Timeout of a job, in seconds, not counting the time in the queue; starts again when the server restarts
    #[arg(long, env = "AMANUENSIS_JOB_TIMEOUT", value_name = "SECONDS", default_value_t = 7 * 24 * 3600)]
    pub job_timeout: u64,

    /// Time that a finished job and its transcript are kept, in seconds; 0 means forever
    #[arg(long, env = "AMANUENSIS_KEEP_JOBS", value_name = "SECONDS", default_value_t = 7 * 24 * 3600)]
    pub keep_jobs: u64,

    /// Print one line per request
    #[arg(long, env = "AMANUENSIS_ACCESS_LOG", value_parser = BoolishValueParser::new())]
    pub access_log: bool,
}

fn compute_types() -> impl TypedValueParser<Value = ComputeType> {
    PossibleValuesParser::new(ComputeType::VARIANTS).try_map(|name| name.parse::<ComputeType>())
}

/// An error in the settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The configuration file or the file with API keys cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The configuration file is not valid TOML, or has an unknown key or an invalid value.
    #[error("{}: {reason}", path.display())]
    File {
        /// The path of the configuration file.
        path: PathBuf,
        /// What is wrong in the file.
        reason: String,
    },
    /// A setting, or a combination of settings, is invalid.
    #[error("{0}")]
    Invalid(String),
}

impl Config {
    /// Merges the TOML file `path` into these settings. `given` contains the names of the settings that were set by
    /// flags or environment variables. The file does not override these settings.
    ///
    /// # Errors
    /// [`ConfigError::Read`] if the file cannot be read. [`ConfigError::File`] if it is not valid TOML, or has an
    /// unknown key or an invalid value.
    pub fn or_file(&self, path: &Path, given: &HashSet<&str>) -> Result<Self, ConfigError> {
        let invalid = |error: &dyn std::fmt::Display| ConfigError::File {
            path: path.to_owned(),
            reason: error.to_string().trim_end().to_owned(),
        };
        let read = std::fs::read_to_string(path);
        let text = read.map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let file: toml::Table = text.parse().map_err(|error| invalid(&error))?;
        let mut table = self.table();
        // First merge all keys of the file, so that an invalid value is an error even if a flag overrides it.
        let mut all = table.clone();
        all.extend(file.clone());
        all.try_into::<Self>().map_err(|error| invalid(&error))?;
        table.extend(file.into_iter().filter(|(name, _)| !given.contains(name.as_str())));
        table.try_into().map_err(|error| invalid(&error))
    }

    /// Checks that each setting has a valid value, and that the settings do not contradict each other.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] if one of these conditions is not met.
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
        if let Some((name, _)) = counts.iter().find(|(_, count)| !(1..=MAX_VALUE).contains(count)) {
            return Err(ConfigError::Invalid(format!("{name} must be between 1 and {MAX_VALUE}")));
        }
        if self.max_queue as u64 > MAX_VALUE {
            return Err(ConfigError::Invalid(format!("max_queue must be at most {MAX_VALUE}")));
        }
        for (name, size, max) in sizes {
            if size.is_some_and(|size| !(1..=max).contains(&size)) {
                return Err(ConfigError::Invalid(format!("{name} must be between 1 and {max}")));
            }
        }
        if let Some(origin) = self.cors_origin.iter().find(|origin| *origin != "*" && !is_origin(origin)) {
            return Err(ConfigError::Invalid(format!(
                "cors_origin: {origin:?} is not an origin as browsers send it: for example `https://chat.example.org`, in \
                 lower case, with the port only if it is not the default one, and without a path"
            )));
        }
        if let Some(folder) = self.job_folder.as_ref().filter(|folder| !folder.is_dir()) {
            return Err(ConfigError::Invalid(format!("job_folder: {} is not a directory", folder.display())));
        }
        Ok(())
    }

    /// Writes the settings in the format of the configuration file, without the API keys.
    pub fn to_toml(&self) -> String {
        let mut table = self.table();
        table.remove("api_key");
        format!("# API keys are left out: the file of api_key_file may hold them.\n{table}")
    }

    fn table(&self) -> toml::Table {
        toml::Table::try_from(self).expect("numbers, strings and lists of them can be written as TOML")
    }

    pub(crate) fn max_upload_bytes(&self) -> u64 {
        self.max_upload << 20
    }

    /// How recordings are decoded: in worker processes that run the program `worker`, or in this process if `worker`
    /// is `None`.
    pub(crate) fn decoder(&self, worker: Option<PathBuf>) -> Decoder {
        worker.map_or(Decoder::InProcess, |program| Decoder::Worker { program, memory_mib: self.decode_memory })
    }

    pub(crate) fn upload_timeout(&self) -> Duration {
        Duration::from_secs(self.upload_timeout)
    }
}

/// Parses the address to listen on: an IP address or `localhost`.
fn address(text: &str) -> Result<IpAddr, &'static str> {
    if text == "localhost" {
        return Ok(Ipv4Addr::LOCALHOST.into());
    }
    text.parse().map_err(|_| "expected an IP address of this machine, or localhost")
}

fn deserialize_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IpAddr, D::Error> {
    address(&String::deserialize(deserializer)?).map_err(de::Error::custom)
}

/// Whether `text` is a web origin in exactly the form that browsers send. This matters because the server compares
/// origins as strings.
fn is_origin(text: &str) -> bool {
    let consists_of = |text: &str, marks: &str| {
        let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || marks.contains(c);
        !text.is_empty() && text.chars().all(is_allowed)
    };
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    let (host, port) = match authority.rsplit_once(':') {
        // The last colon is inside the brackets of an IPv6 address, so the origin has no port.
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let is_default = |port: &str| matches!((scheme, port), ("http", "80") | ("https", "443"));
    let is_valid_port = |port: &str| port.parse::<u16>().is_ok() && !is_default(port);
    consists_of(scheme, "+-.") && consists_of(host, "-._[:]") && port.is_none_or(is_valid_port)
}

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
    fn flags_and_environment_variables_are_named_after_the_settings() {
        for argument in Config::augment_args(Command::new("serve")).get_arguments() {
            let name = argument.get_id().as_str();
            assert_eq!(argument.get_long().unwrap(), name.replace('_', "-"));
            assert_eq!(argument.get_env().unwrap().to_str().unwrap(), format!("AMANUENSIS_{}", name.to_uppercase()));
        }
    }

    #[test]
    fn flags_override_the_file() {
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
    fn the_printed_settings_are_a_valid_file_without_api_keys() {
        let given = config(&["--api-key", "secret,other", "--batch-size", "4"]);
        let text = given.to_toml();
        assert!(!text.contains("secret") && !text.contains("api_key =") && text.contains("batch_size = 4"), "{text}");
        let read: Config = toml::from_str(&text).unwrap();
        assert_eq!(Config { api_key: given.api_key.clone(), ..read }, given);
    }

    #[test]
    fn invalid_settings_are_rejected() {
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
