//! The models in memory: loaded when they are first asked for, shared by all requests, loaded anew when their files are
//! others, and dropped, the one that was not used for longest first, where another needs the room.

mod loaded;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use amanuensis_models::{Purpose, SPEECH_DETECTOR, State, Store};
use amanuensis_transcribe::{EngineOptions, Error as TranscribeError, SileroVad, Transcriber};
use tokio::task::spawn_blocking;

use self::loaded::{Cell, Files, Loaded, files_of};
use crate::config::Config;

/// `OpenAI`'s names, which mean the default model here.
pub const DEFAULT_MODEL_ALIASES: [&str; 5] =
    ["whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-4o-mini-transcribe-2025-12-15", "gpt-transcribe"];

/// Why there is no model to transcribe with.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// No installed model has this name.
    #[error("there is no model {name:?} here; installed: {}", Names(.installed))]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// What there is.
        installed: Vec<String>,
    },
    /// The models in use leave no room for this one.
    #[error("the memory for models is taken by those in use; try again later")]
    MemoryFull,
    /// The model alone needs more than there is.
    #[error("the model {name:?} needs {needed} MiB, and models may take {budget}")]
    TooLarge {
        /// The model's name.
        name: String,
        /// What its files hold, in MiB.
        needed: u64,
        /// The budget, in MiB.
        budget: u64,
    },
    /// The model cannot be loaded.
    #[error("cannot load the model {name:?}: {source}")]
    Load {
        /// The model's name.
        name: String,
        /// Why.
        source: TranscribeError,
    },
}

struct Names<'a>(&'a [String]);

impl std::fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_empty() { "none".to_owned() } else { self.0.join(", ") }.as_str())
    }
}

/// A model that can be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledModel {
    /// The name.
    pub name: String,
    /// Its directory or file.
    pub path: PathBuf,
}

/// The models of a store, those in memory among them.
pub struct ModelPool {
    store: Store,
    default: InstalledModel,
    options: EngineOptions,
    batch_size: Option<usize>,
    /// Bytes of model files.
    budget: u64,
    loaded: Mutex<Loaded>,
}

impl ModelPool {
    /// The models of `store`, and the one at `default_path`, which need not be one of them.
    pub fn new(store: Store, default_path: PathBuf, config: &Config) -> Self {
        let name = match store.catalogue().find(&config.default_model) {
            Ok(model) => model.name().to_owned(),
            Err(_) => default_path.file_name().unwrap_or(default_path.as_os_str()).to_string_lossy().into_owned(),
        };
        let threads = config.threads.unwrap_or_else(|| thread::available_parallelism().map_or(1, Into::into));
        Self {
            store,
            default: InstalledModel { name, path: default_path },
            options: EngineOptions { compute_type: config.compute_type, threads, ..EngineOptions::default() },
            batch_size: config.batch_size,
            budget: config.model_memory << 20,
            loaded: Mutex::default(),
        }
    }

    /// The model that requests get that name one of [`DEFAULT_MODEL_ALIASES`].
    pub fn default_model(&self) -> &InstalledModel {
        &self.default
    }

    /// Whether the default model can ever be loaded.
    ///
    /// # Errors
    /// [`PoolError::TooLarge`].
    pub fn check_default(&self) -> Result<(), PoolError> {
        self.fits(&self.default, &self.files(&self.default.path))
    }

    fn fits(&self, model: &InstalledModel, files: &Files) -> Result<(), PoolError> {
        let bytes = files.bytes();
        if bytes <= self.budget {
            return Ok(());
        }
        let (name, needed, budget) = (model.name.clone(), bytes.div_ceil(1 << 20), self.budget >> 20);
        Err(PoolError::TooLarge { name, needed, budget })
    }

    /// Whether there is something to tell where somebody speaks.
    pub fn has_vad(&self) -> bool {
        self.store.path(SPEECH_DETECTOR).is_ok()
    }

    /// Every model that can be asked for by its own name, the default first. Looks at the disk.
    pub fn installed(&self) -> Vec<InstalledModel> {
        let is_usable = |model: &amanuensis_models::Entry<'_>| {
            model.model.purpose() == Purpose::Transcription && matches!(model.state, State::Installed(_))
        };
        let listed = self.store.list().into_iter().filter(is_usable);
        let others = listed.map(|entry| InstalledModel { name: entry.model.name().to_owned(), path: entry.path });
        let default = Some(self.default.clone()).filter(|default| default.path.exists());
        default.into_iter().chain(others.filter(|model| model.name != self.default.name)).collect()
    }

    /// The model called `name`: an installed one's name or alias, or one of [`DEFAULT_MODEL_ALIASES`]. A name is never a path.
    ///
    /// # Errors
    /// [`PoolError::Unknown`].
    pub fn find(&self, name: &str) -> Result<InstalledModel, PoolError> {
        let wanted = if DEFAULT_MODEL_ALIASES.contains(&name) { &self.default.name } else { name };
        let canonical = self.store.catalogue().find(wanted).map_or(wanted, |model| model.name());
        let installed = self.installed();
        if let Some(found) = installed.iter().find(|model| model.name == canonical) {
            return Ok(found.clone());
        }
        let name = name.chars().take(80).collect();
        Err(PoolError::Unknown { name, installed: installed.into_iter().map(|model| model.name).collect() })
    }

    /// The model called `name`, loaded if it is not; whoever asks for one that is being loaded waits for it.
    ///
    /// # Errors
    /// Those of [`Self::find`], [`PoolError::MemoryFull`], [`PoolError::TooLarge`], [`PoolError::Load`].
    pub async fn get(&self, name: &str) -> Result<Arc<Transcriber>, PoolError> {
        let model = self.find(name)?;
        let cell = self.slot(&model, self.files(&model.path))?;
        let loaded = cell.get_or_try_init(|| self.load(&model)).await.cloned();
        if loaded.is_err() {
            self.lock().give_up(&model.path, &cell);
        }
        loaded
    }

    /// What `look` sees of each model in memory. It cannot keep the model, which would then seem to be in use.
    pub fn loaded<T>(&self, look: impl Fn(&Transcriber) -> T) -> Vec<T> {
        self.lock().models().map(look).collect()
    }

    async fn load(&self, model: &InstalledModel) -> Result<Arc<Transcriber>, PoolError> {
        let (options, batch_size) = (self.options.clone(), self.batch_size);
        let InstalledModel { name, path } = model.clone();
        let detector = self.store.path(SPEECH_DETECTOR).ok();
        let load = move || -> Result<Transcriber, TranscribeError> {
            let mut transcriber = Transcriber::load(&path, &options)?.with_name(name);
            if let Some(batch_size) = batch_size {
                transcriber = transcriber.with_batch_size(batch_size);
            }
            Ok(match detector {
                Some(path) => transcriber.with_vad(SileroVad::load(&path)?),
                None => transcriber,
            })
        };
        let loaded = spawn_blocking(load).await.unwrap_or(Err(TranscribeError::Stopped));
        loaded.map(Arc::new).map_err(|source| PoolError::Load { name: model.name.clone(), source })
    }

    /// What a model at `path` is made of, and what finds speech for it.
    fn files(&self, path: &Path) -> Files {
        let detector = self.store.path(SPEECH_DETECTOR).ok();
        Files { model: files_of(path), detector: detector.map(|path| files_of(&path)) }
    }

    /// The place of a model that is made of these files, with room made for it.
    fn slot(&self, model: &InstalledModel, files: Files) -> Result<Cell, PoolError> {
        let mut loaded = self.lock();
        loaded.retire(|path, made_of| if *path == model.path { *made_of != files } else { !path.exists() });
        if let Some(cell) = loaded.find(&model.path) {
            return Ok(cell);
        }
        self.fits(model, &files)?;
        loaded.add(&model.path, files, self.budget).ok_or(PoolError::MemoryFull)
    }

    fn lock(&self) -> MutexGuard<'_, Loaded> {
        // Nothing between two states of it can panic.
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use amanuensis_weights::fixture::write_gibberish;
    use clap::{Args, Command, FromArgMatches};

    use super::*;

    /// A directory with a model, and the pool that has it as its default.
    struct Workspace {
        directory: tempfile::TempDir,
        pool: ModelPool,
    }

    impl Workspace {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let matches = Config::augment_args(Command::new("serve")).get_matches_from(["serve", "--threads=1"]);
            let config = Config::from_arg_matches(&matches).unwrap();
            let pool =
                ModelPool::new(Store::at(directory.path().join("store")), directory.path().join("tiny"), &config);
            let workspace = Self { directory, pool };
            workspace.write();
            workspace
        }

        fn path(&self) -> &Path {
            &self.pool.default.path
        }

        fn write(&self) {
            fs::create_dir(self.path()).unwrap();
            write_gibberish(self.path()).unwrap();
        }

        /// Another model of the same name.
        fn replace(&self) {
            let file = self.path().join("config.json");
            let other = fs::read_to_string(&file).unwrap() + "\n";
            fs::write(&file, other).unwrap();
        }

        /// The place of a model that somebody waits for.
        fn loading(&self) -> Cell {
            self.pool.slot(&self.pool.default, self.pool.files(self.path())).unwrap()
        }

        async fn get(&self) -> Result<Arc<Transcriber>, PoolError> {
            self.pool.get("whisper-1").await
        }
    }

    #[tokio::test]
    async fn a_model_is_what_its_files_are_now() {
        let workspace = Workspace::new();
        let first = workspace.get().await.unwrap();
        assert!(Arc::ptr_eq(&first, &workspace.get().await.unwrap()));

        fs::rename(workspace.path(), workspace.directory.path().join("old")).unwrap();
        assert!(matches!(workspace.get().await, Err(PoolError::Unknown { .. })));
        workspace.write();
        let second = workspace.get().await.unwrap();
        assert!(!Arc::ptr_eq(&first, &second));
        assert_eq!(workspace.pool.loaded(|model| model.name().to_owned()), ["base"]);

        workspace.replace();
        let third = workspace.get().await.unwrap();
        assert!(!Arc::ptr_eq(&second, &third));
        assert!(Arc::ptr_eq(&third, &workspace.get().await.unwrap()));
    }

    #[tokio::test]
    async fn a_model_that_was_replaced_takes_its_room_until_nobody_uses_it() {
        let mut workspace = Workspace::new();
        workspace.pool.budget = workspace.pool.files(workspace.path()).bytes() * 3 / 2;
        let in_use = workspace.get().await.unwrap();
        workspace.replace();
        assert!(matches!(workspace.get().await, Err(PoolError::MemoryFull)));
        assert!(matches!(workspace.get().await, Err(PoolError::MemoryFull)));
        drop(in_use);
        drop(workspace.get().await.unwrap());

        workspace.replace();
        let waited_for = workspace.loading();
        workspace.replace();
        assert!(matches!(workspace.get().await, Err(PoolError::MemoryFull)));
        let in_use = waited_for.get_or_try_init(|| workspace.pool.load(&workspace.pool.default)).await.unwrap().clone();
        drop(waited_for);
        assert!(matches!(workspace.get().await, Err(PoolError::MemoryFull)));
        drop(in_use);
        drop(workspace.get().await.unwrap());
    }

    #[tokio::test]
    async fn who_fails_to_load_a_model_removes_no_other() {
        let workspace = Workspace::new();
        let failed = workspace.loading();
        workspace.replace();
        let other = workspace.get().await.unwrap();
        workspace.pool.lock().give_up(workspace.path(), &failed);
        assert!(Arc::ptr_eq(&other, &workspace.get().await.unwrap()));

        workspace.replace();
        let (failed, waiting) = (workspace.loading(), workspace.loading());
        workspace.pool.lock().give_up(workspace.path(), &failed);
        assert!(Arc::ptr_eq(&waiting, &workspace.loading()));
        drop(waiting);
        workspace.pool.lock().give_up(workspace.path(), &failed);
        assert!(!Arc::ptr_eq(&failed, &workspace.loading()));
    }
}
