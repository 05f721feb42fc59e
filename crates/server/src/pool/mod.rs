//! The pool of loaded models. A model is loaded when it is first requested, and all requests share it. It is reloaded
//! when its files change. The least recently used model is unloaded when another model needs its memory.

mod cache;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use amanuensis_models::{Purpose, SPEECH_DETECTOR, State, Store};
use amanuensis_transcribe::{EngineOptions, Error as TranscribeError, SileroVad, Transcriber};
use tokio::task::spawn_blocking;

use self::cache::{ModelCache, ModelCell, ModelFiles, files_of};
use crate::config::Config;

/// Names of `OpenAI` models. On this server, each of them selects the default model.
pub const DEFAULT_MODEL_ALIASES: [&str; 5] =
    ["whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-4o-mini-transcribe-2025-12-15", "gpt-transcribe"];

/// The reason why a model cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// No installed model has this name.
    #[error("there is no model {name:?} here; installed: {}", NameList(.installed))]
    Unknown {
        /// The requested name.
        name: String,
        /// The names of the installed models.
        installed: Vec<String>,
    },
    /// The models in use leave too little memory for this model.
    #[error("the models in use take up all memory for models; try again later")]
    MemoryFull,
    /// The model is larger than the memory limit for all models.
    #[error("the model {name:?} needs {needed} MiB, but the limit for models is {budget} MiB")]
    TooLarge {
        /// The model's name.
        name: String,
        /// Size of the model's files, in MiB.
        needed: u64,
        /// The memory limit for all models, in MiB.
        budget: u64,
    },
    /// The model cannot be loaded.
    #[error("cannot load the model {name:?}: {source}")]
    Load {
        /// The model's name.
        name: String,
        /// The error that occurred while the model was loaded.
        source: TranscribeError,
    },
}

/// Writes a list of names for an error message.
struct NameList<'a>(&'a [String]);

impl std::fmt::Display for NameList<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_empty() { "none".to_owned() } else { self.0.join(", ") }.as_str())
    }
}

/// An installed model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledModel {
    /// The name by which requests select the model.
    pub name: String,
    /// The directory or weight file of the model.
    pub path: PathBuf,
}

/// The installed models, and the cache of loaded models.
pub struct ModelPool {
    store: Store,
    default: InstalledModel,
    options: EngineOptions,
    batch_size: Option<usize>,
    /// The memory limit for all loaded models, in bytes. The size of a model's files serves as its memory use.
    budget_bytes: u64,
    cache: Mutex<ModelCache>,
}

impl ModelPool {
    /// A pool with the models of `store` and the default model at `default_path`. The default model may be outside
    /// the store.
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
            budget_bytes: config.model_memory << 20,
            cache: Mutex::default(),
        }
    }

    /// The default model. All [`DEFAULT_MODEL_ALIASES`] select it.
    pub fn default_model(&self) -> &InstalledModel {
        &self.default
    }

    /// Checks that the default model alone fits into the memory limit for models.
    ///
    /// # Errors
    /// [`PoolError::TooLarge`].
    pub fn check_default(&self) -> Result<(), PoolError> {
        self.check_size(&self.default, &self.files(&self.default.path))
    }

    fn check_size(&self, model: &InstalledModel, files: &ModelFiles) -> Result<(), PoolError> {
        let bytes = files.bytes();
        if bytes <= self.budget_bytes {
            return Ok(());
        }
        let (name, needed, budget) = (model.name.clone(), bytes.div_ceil(1 << 20), self.budget_bytes >> 20);
        Err(PoolError::TooLarge { name, needed, budget })
    }

    /// Whether the voice activity detection model is installed.
    pub fn has_vad(&self) -> bool {
        self.store.path(SPEECH_DETECTOR).is_ok()
    }

    /// All installed models that can transcribe. The default model is the first. This function reads the disk.
    pub fn installed(&self) -> Vec<InstalledModel> {
        let is_usable = |model: &amanuensis_models::Entry<'_>| {
            model.model.purpose() == Purpose::Transcription && matches!(model.state, State::Installed(_))
        };
        let listed = self.store.list().into_iter().filter(is_usable);
        let others = listed.map(|entry| InstalledModel { name: entry.model.name().to_owned(), path: entry.path });
        let default = Some(self.default.clone()).filter(|default| default.path.exists());
        default.into_iter().chain(others.filter(|model| model.name != self.default.name)).collect()
    }

    /// Finds an installed model by its name, its alias, or one of [`DEFAULT_MODEL_ALIASES`]. `name` is never used as
    /// a path.
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

    /// Returns the model with this name, and loads it if necessary. If another request is already loading it, waits
    /// for that request.
    ///
    /// # Errors
    /// All errors of [`Self::find`]. [`PoolError::MemoryFull`], [`PoolError::TooLarge`], [`PoolError::Load`].
    pub async fn get(&self, name: &str) -> Result<Arc<Transcriber>, PoolError> {
        let model = self.find(name)?;
        let cell = self.cell(&model, self.files(&model.path))?;
        let loaded = cell.get_or_try_init(|| self.load(&model)).await.cloned();
        if loaded.is_err() {
            self.lock().remove_failed(&model.path, &cell);
        }
        loaded
    }

    /// Calls `inspect` for each loaded model, and returns the results. `inspect` gets a reference instead of an
    /// `Arc`, because a model counts as in use while somebody else holds an `Arc` of it.
    pub fn loaded<T>(&self, inspect: impl Fn(&Transcriber) -> T) -> Vec<T> {
        self.lock().models().map(inspect).collect()
    }

    async fn load(&self, model: &InstalledModel) -> Result<Arc<Transcriber>, PoolError> {
        let (options, batch_size) = (self.options.clone(), self.batch_size);
        let InstalledModel { name, path } = model.clone();
        let vad = self.store.path(SPEECH_DETECTOR).ok();
        let load = move || -> Result<Transcriber, TranscribeError> {
            let mut transcriber = Transcriber::load(&path, &options)?.with_name(name);
            if let Some(batch_size) = batch_size {
                transcriber = transcriber.with_batch_size(batch_size);
            }
            Ok(match vad {
                Some(path) => transcriber.with_vad(SileroVad::load(&path)?),
                None => transcriber,
            })
        };
        let loaded = spawn_blocking(load).await.unwrap_or(Err(TranscribeError::Stopped));
        loaded.map(Arc::new).map_err(|source| PoolError::Load { name: model.name.clone(), source })
    }

    /// The state of the files of the model at `path`, and of the VAD (voice activity detection) model that is loaded
    /// together with it.
    fn files(&self, path: &Path) -> ModelFiles {
        let vad = self.store.path(SPEECH_DETECTOR).ok();
        ModelFiles { model: files_of(path), vad: vad.map(|path| files_of(&path)) }
    }

    /// The cache cell in which the model is or will be loaded. If the model has no cell for these files yet, unloads
    /// other models if necessary and adds a cell.
    fn cell(&self, model: &InstalledModel, files: ModelFiles) -> Result<ModelCell, PoolError> {
        let mut cache = self.lock();
        cache.retire(|path, loaded_files| if *path == model.path { *loaded_files != files } else { !path.exists() });
        if let Some(cell) = cache.find(&model.path) {
            return Ok(cell);
        }
        self.check_size(model, &files)?;
        cache.add(&model.path, files, self.budget_bytes).ok_or(PoolError::MemoryFull)
    }

    fn lock(&self) -> MutexGuard<'_, ModelCache> {
        // No code panics while it changes the cache, so the cache is consistent even if a thread has panicked.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use amanuensis_weights::fixture::write_random_model;
    use clap::{Args, Command, FromArgMatches};

    use super::*;

    /// A test directory with a small model, and a model pool whose default model this is.
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
            write_random_model(self.path()).unwrap();
        }

        /// Changes a file of the model, so that the pool treats the model as replaced.
        fn replace(&self) {
            let file = self.path().join("config.json");
            let other = fs::read_to_string(&file).unwrap() + "\n";
            fs::write(&file, other).unwrap();
        }

        /// The cache cell of the model, as a request holds it while it waits for the model to load.
        fn loading(&self) -> ModelCell {
            self.pool.cell(&self.pool.default, self.pool.files(self.path())).unwrap()
        }

        async fn get(&self) -> Result<Arc<Transcriber>, PoolError> {
            self.pool.get("whisper-1").await
        }
    }

    #[tokio::test]
    async fn a_model_is_reloaded_when_its_files_change() {
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
    async fn a_replaced_model_uses_memory_until_its_last_request_finishes() {
        let mut workspace = Workspace::new();
        workspace.pool.budget_bytes = workspace.pool.files(workspace.path()).bytes() * 3 / 2;
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
    async fn a_failed_load_removes_no_other_model() {
        let workspace = Workspace::new();
        let failed = workspace.loading();
        workspace.replace();
        let other = workspace.get().await.unwrap();
        workspace.pool.lock().remove_failed(workspace.path(), &failed);
        assert!(Arc::ptr_eq(&other, &workspace.get().await.unwrap()));

        workspace.replace();
        let (failed, waiting) = (workspace.loading(), workspace.loading());
        workspace.pool.lock().remove_failed(workspace.path(), &failed);
        assert!(Arc::ptr_eq(&waiting, &workspace.loading()));
        drop(waiting);
        workspace.pool.lock().remove_failed(workspace.path(), &failed);
        assert!(!Arc::ptr_eq(&failed, &workspace.loading()));
    }
}
