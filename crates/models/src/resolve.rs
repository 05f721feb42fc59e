//! Finds the files of a model by name or by path.

use std::ops::ControlFlow;
use std::path::PathBuf;

use crate::catalogue::Purpose;
use crate::error::Error;
use crate::progress::Progress;
use crate::store::Store;

impl Store {
    /// Returns the directory or file of the transcription model `model`. If it is a model of the catalogue that is
    /// not installed, it is pulled first.
    ///
    /// `model` is interpreted in this order. If it contains a path separator, it is a path. If it is a name or alias
    /// in the catalogue, it is that model. Otherwise it is a path, if that path exists. So a directory called `base`
    /// must be given as `./base`.
    ///
    /// With `offline`, no network connection is opened and no program is started. A model that is not installed then
    /// gives [`Error::NotInstalled`], which names the command to install it.
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

    /// Returns the directory of the catalogue model `name`. If the model is not installed, it is pulled first, or
    /// with `offline` the result is [`Error::NotInstalled`].
    ///
    /// # Errors
    /// The errors of [`Store::path`] and [`Store::pull`].
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
