//! API keys: which callers are let in.

use std::fs;

use subtle::{Choice, ConstantTimeEq};

use crate::config::{Config, ConfigError};

impl Config {
    /// Whether there are keys if there have to be, so that it can be told before a model is fetched. Reads their file.
    ///
    /// # Errors
    /// [`ConfigError::Read`], [`ConfigError::Invalid`].
    pub fn check_keys(&self) -> Result<(), ConfigError> {
        ApiKeys::new(self).map(drop)
    }
}

/// The keys that let a request in; with none, all are let in.
#[derive(Clone, Default)]
pub struct ApiKeys(Vec<String>);

impl ApiKeys {
    /// The keys of the settings and of the file that these name.
    ///
    /// # Errors
    /// [`ConfigError::Read`]; [`ConfigError::Invalid`] for an empty key, a file without one, and a server that all the
    /// world could use without one.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let mut keys = config.api_key.clone();
        if let Some(path) = &config.api_key_file {
            let text = fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.clone(), source })?;
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
            let before = keys.len();
            keys.extend(lines.map(str::to_owned));
            if keys.len() == before {
                return Err(ConfigError::Invalid(format!("{} holds no API key", path.display())));
            }
        }
        if keys.iter().any(|key| key.trim().is_empty()) {
            return Err(ConfigError::Invalid("an API key is empty".to_owned()));
        }
        if keys.is_empty() && !config.host.is_loopback() && !config.allow_anyone {
            return Err(ConfigError::Invalid(format!(
                "whoever reaches {} could use this server: set --api-key, or say --allow-anyone",
                config.host
            )));
        }
        Ok(Self(keys))
    }

    /// Whether there are any.
    pub fn are_required(&self) -> bool {
        !self.0.is_empty()
    }

    /// The key that a request shows in its `Authorization` header, by its number; none is a refusal. Where there are no
    /// keys, all callers are number 0.
    pub fn authenticate(&self, authorization: Option<&str>) -> Option<usize> {
        if !self.are_required() {
            return Some(0);
        }
        let (scheme, shown) = authorization?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        // All are compared, so that the time says nothing of which one is near.
        let shown = shown.trim().as_bytes();
        let equal: Vec<Choice> = self.0.iter().map(|key| key.as_bytes().ct_eq(shown)).collect();
        equal.into_iter().position(bool::from)
    }
}
