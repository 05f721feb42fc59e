//! From what a user calls a model to the files of it.

use std::ops::ControlFlow;
use std::path::PathBuf;

use crate::catalogue::Purpose;
use crate::error::Error;
use crate::progress::Progress;
use crate::store::Store;

impl Store {
    /// The directory or file that `model`, which is to write speech down, means; fetched first if it is a model of the
    /// catalogue that is not installed.
    ///
    /// In this order: text with a path separator is a path and has to exist; a name or alias of the catalogue is that
    /// model; anything else that exists is a path; the rest is an unknown name. So a directory called `base` is reached
    /// as `./base`.
    ///
    /// With `offline`, no network connection is opened and no program is started: a model that is not installed is
    /// [`Error::NotInstalled`], which names the command to install it.
    ///
    /// # Errors
    /// Besides: [`Error::UnknownModel`], [`Error::DoesNotTranscribe`], [`Error::NoSuchPath`], [`Error::Damaged`] for a
    /// model whose files are not all there, and what [`Store::pull`] returns.
    pub fn resolve(
        &self,
        model: &str,
        offline: bool,
        progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<PathBuf, Error> {
        let path = PathBuf::from(model);
        if model.contains(std::path::is_separator) {
            return if path.exists() { Ok(path) } else { Err(Error::NoSuchPath(path)) };
        }
        match self.catalogue().find(model) {
            Err(_) if path.exists() => return Ok(path),
            Ok(model) if model.purpose() != Purpose::Transcription => {
                return Err(Error::DoesNotTranscribe { name: model.name().to_owned() });
            }
            _ => {}
        }
        self.path_or_pull(model, offline, progress)
    }

    /// The directory of the model of the catalogue called `name`, fetched first if it is not installed; with `offline`,
    /// that is [`Error::NotInstalled`].
    ///
    /// # Errors
    /// Those of [`Store::path`] and [`Store::pull`].
    pub fn path_or_pull(
        &self,
        name: &str,
        offline: bool,
        progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<PathBuf, Error> {
        match self.path(name) {
            Err(Error::NotInstalled { .. }) if !offline => self.pull(name, progress),
            found => found,
        }
    }
}
