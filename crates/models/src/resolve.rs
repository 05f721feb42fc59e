//! Finds the files of a model that is given by name or path.

use std::ops::ControlFlow;
use std::path::PathBuf;

use crate::catalogue::Purpose;
use crate::error::Error;
use crate::progress::Progress;
use crate::store::Store;

impl Store {
    /// The directory or file of the transcription model `model`. A model of the catalogue that is not installed is pulled
    /// first.
    ///
    /// `model` is interpreted in this order: with a path separator, it is a path; a name or alias of the catalogue is that
    /// model; anything else is a path if it exists. So a directory called `base` is given as `./base`.
    ///
    /// With `offline`, no network connection is opened and no program is started. A model that is not installed is then
    /// [`Error::NotInstalled`], which names the command to install it.
    ///
    /// # Errors
    /// [`Error::NotInstalled`] if `offline`, [`Error::UnknownModel`], [`Error::DoesNotTranscribe`],
    /// [`Error::NoSuchPath`], [`Error::Damaged`] if files are missing, and the errors of [`Store::pull`].
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

    /// The directory of the model `name` of the catalogue. A model that is not installed is pulled first, or is
    /// [`Error::NotInstalled`] if `offline`.
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
