//! The API keys with which clients authenticate themselves.

use std::fs;

use subtle::{Choice, ConstantTimeEq};

use crate::config::{Config, ConfigError};

impl Config {
    /// Checks the settings of API keys and reads the key file. The program calls this before it downloads a model, so
    /// that a mistake in the settings is reported first.
    ///
    /// # Errors
    /// [`ConfigError::Read`] if the key file cannot be read. [`ConfigError::Invalid`] if a key is empty, if the key
    /// file has no keys, or if a server without keys would be reachable from other machines although `allow_anyone`
    /// is not set.
    pub fn check_keys(&self) -> Result<(), ConfigError> {
        ApiKeys::new(self).map(drop)
    }
}

/// The valid API keys. If the list is empty, requests need no key.
#[derive(Clone, Default)]
pub struct ApiKeys(Vec<String>);

impl ApiKeys {
    /// Collects the API keys from the settings and from the key file.
    ///
    /// # Errors
    /// [`ConfigError::Read`] if the key file cannot be read. [`ConfigError::Invalid`] if a key is empty, if the key
    /// file has no keys, or if a server without keys would be reachable from other machines although `allow_anyone`
    /// is not set.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let mut keys = config.api_key.clone();
        if let Some(path) = &config.api_key_file {
            let text = fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.clone(), source })?;
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
            let n_before = keys.len();
            keys.extend(lines.map(str::to_owned));
            if keys.len() == n_before {
                return Err(ConfigError::Invalid(format!("{} holds no API key", path.display())));
            }
        }
        if keys.iter().any(|key| key.trim().is_empty()) {
            return Err(ConfigError::Invalid("an API key is empty".to_owned()));
        }
        if keys.is_empty() && !config.host.is_loopback() && !config.allow_anyone {
            return Err(ConfigError::Invalid(format!(
                "anyone who can reach {} could use this server: set --api-key, or pass --allow-anyone",
                config.host
            )));
        }
        Ok(Self(keys))
    }

    /// Whether requests need a key.
    pub fn are_required(&self) -> bool {
        !self.0.is_empty()
    }

    /// Returns the index of the API key in an `Authorization` header, or `None` if the header has no valid key. The
    /// index identifies the client for the rate limit. If the server requires no key, the index is 0 for all clients.
    pub fn authenticate(&self, authorization: Option<&str>) -> Option<usize> {
        if !self.are_required() {
            return Some(0);
        }
        let (scheme, credentials) = authorization?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        // Compare with every key in constant time, so that the response time reveals nothing about the valid keys.
        let credentials = credentials.trim().as_bytes();
        let equal: Vec<Choice> = self.0.iter().map(|key| key.as_bytes().ct_eq(credentials)).collect();
        equal.into_iter().position(bool::from)
    }
}
