//! The models in memory: loaded when they are first asked for, shared by all requests, loaded anew when their files are
//! others, and dropped, the one that was not used for longest first, where another needs the room.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::SystemTime;

use amanuensis_models::{Purpose, SPEECH_DETECTOR, State, Store};
use amanuensis_transcribe::{EngineOptions, Error as TranscribeError, Transcriber, VoiceDetector};
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use crate::config::Config;

/// `OpenAI`'s names, which mean the default model here.
pub const MAPPED: [&str; 5] =
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
    Full,
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
pub struct Installed {
    /// The name.
    pub name: String,
    /// Its directory or file.
    pub path: PathBuf,
}

/// The models of a store, those in memory among them.
pub struct ModelPool {
    store: Store,
    default: Installed,
    options: EngineOptions,
    batch_size: Option<usize>,
    /// Bytes of model files.
    budget: u64,
    loaded: Mutex<Loaded>,
}

#[derive(Default)]
struct Loaded {
    models: HashMap<PathBuf, Slot>,
    /// Counts uses.
    clock: u64,
}

/// A model that is in memory, or on its way there.
struct Slot {
    cell: Arc<OnceCell<Arc<Transcriber>>>,
    /// The files that it was made of.
    files: Files,
    last_used: u64,
}

impl Slot {
    /// Whether nobody but the pool holds it.
    fn is_idle(&self) -> bool {
        Arc::strong_count(&self.cell) == 1
            && self.cell.get().is_none_or(|transcriber| Arc::strong_count(transcriber) == 1)
    }
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
            default: Installed { name, path: default_path },
            options: EngineOptions { compute_type: config.compute_type.into(), threads, ..EngineOptions::default() },
            batch_size: config.batch_size,
            budget: config.model_memory << 20,
            loaded: Mutex::default(),
        }
    }

    /// The model that requests get that name one of [`MAPPED`].
    pub fn default_model(&self) -> &Installed {
        &self.default
    }

    /// Whether the default model can ever be loaded.
    ///
    /// # Errors
    /// [`PoolError::TooLarge`].
    pub fn check_default(&self) -> Result<(), PoolError> {
        self.fits(&self.default, &self.files(&self.default.path))
    }

    fn fits(&self, model: &Installed, files: &Files) -> Result<(), PoolError> {
        let bytes = files.bytes();
        if bytes <= self.budget {
            return Ok(());
        }
        let (name, needed, budget) = (model.name.clone(), bytes.div_ceil(1 << 20), self.budget >> 20);
        Err(PoolError::TooLarge { name, needed, budget })
    }

    /// Whether there is something to tell where somebody speaks.
    pub fn detects_speech(&self) -> bool {
        self.store.path(SPEECH_DETECTOR).is_ok()
    }

    /// Every model that can be asked for by its own name, the default first. Looks at the disk.
    pub fn installed(&self) -> Vec<Installed> {
        let is_usable = |model: &amanuensis_models::Entry<'_>| {
            model.model.purpose() == Purpose::Transcription && matches!(model.state, State::Installed(_))
        };
        let listed = self.store.list().into_iter().filter(is_usable);
        let others = listed.map(|entry| Installed { name: entry.model.name().to_owned(), path: entry.path });
        let default = Some(self.default.clone()).filter(|default| default.path.exists());
        default.into_iter().chain(others.filter(|model| model.name != self.default.name)).collect()
    }

    /// The model called `name`: an installed one's name or alias, or one of [`MAPPED`]. A name is never a path.
    ///
    /// # Errors
    /// [`PoolError::Unknown`].
    pub fn find(&self, name: &str) -> Result<Installed, PoolError> {
        let wanted = if MAPPED.contains(&name) { &self.default.name } else { name };
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
    /// Those of [`Self::find`], [`PoolError::Full`], [`PoolError::TooLarge`], [`PoolError::Load`].
    pub async fn get(&self, name: &str) -> Result<Arc<Transcriber>, PoolError> {
        let model = self.find(name)?;
        let cell = self.slot(&model, self.files(&model.path))?;
        let load = || self.load(&model);
        let loaded = cell.get_or_try_init(load).await.cloned();
        if loaded.is_err() {
            drop(cell);
            let mut slots = self.lock();
            // Another may be at it by now.
            if slots.models.get(&model.path).is_some_and(|slot| Arc::strong_count(&slot.cell) == 1) {
                slots.models.remove(&model.path);
            }
        }
        loaded
    }

    /// The models in memory.
    pub fn loaded(&self) -> Vec<Arc<Transcriber>> {
        self.lock().models.values().filter_map(|slot| slot.cell.get().cloned()).collect()
    }

    async fn load(&self, model: &Installed) -> Result<Arc<Transcriber>, PoolError> {
        let (options, batch_size) = (self.options.clone(), self.batch_size);
        let Installed { name, path } = model.clone();
        let detector = self.store.path(SPEECH_DETECTOR).ok();
        let load = move || -> Result<Transcriber, TranscribeError> {
            let mut transcriber = Transcriber::load(&path, &options)?.with_name(name);
            if let Some(batch_size) = batch_size {
                transcriber = transcriber.with_batch_size(batch_size);
            }
            Ok(match detector {
                Some(path) => transcriber.with_voice_detector(VoiceDetector::load(&path)?),
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
    fn slot(&self, model: &Installed, files: Files) -> Result<Arc<OnceCell<Arc<Transcriber>>>, PoolError> {
        let mut loaded = self.lock();
        loaded.clock += 1;
        let now = loaded.clock;
        // Whoever works with one that was removed or replaced goes on with it.
        let gone = loaded.models.extract_if(
            |path, slot| {
                if *path == model.path { slot.files != files } else { !path.exists() }
            },
        );
        gone.for_each(|(_, slot)| let_go(slot));
        if let Some(slot) = loaded.models.get_mut(&model.path) {
            slot.last_used = now;
            return Ok(Arc::clone(&slot.cell));
        }
        self.fits(model, &files)?;
        let bytes = files.bytes();
        while bytes + loaded.models.values().map(|slot| slot.files.bytes()).sum::<u64>() > self.budget {
            let idle = loaded.models.iter().filter(|(_, slot)| slot.is_idle());
            let oldest = idle.min_by_key(|(_, slot)| slot.last_used).map(|(path, _)| path.clone());
            let freed = oldest.and_then(|path| loaded.models.remove(&path)).ok_or(PoolError::Full)?;
            let_go(freed);
        }
        let cell = Arc::new(OnceCell::new());
        loaded.models.insert(model.path.clone(), Slot { cell: Arc::clone(&cell), files, last_used: now });
        Ok(cell)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Loaded> {
        // Nothing between two states of it can panic.
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drops a model. Its thread has to end first, for which no request should wait.
fn let_go(slot: Slot) {
    // Where there is no thread for it, the one that failed to be made has dropped it.
    let _ = thread::Builder::new().name("amanuensis-let-go".to_owned()).spawn(|| drop(slot));
}

/// The files that a model is made of. Others in their place are another model, whatever it is called.
#[derive(PartialEq)]
struct Files {
    model: Vec<FileState>,
    detector: Option<Vec<FileState>>,
}

/// What tells one state of a file from another.
#[derive(PartialEq, PartialOrd, Eq, Ord)]
struct FileState {
    path: PathBuf,
    bytes: u64,
    modified: Option<SystemTime>,
    /// The number that the file system has for it, where there is such a thing.
    inode: u64,
}

impl Files {
    /// Bytes of the model.
    fn bytes(&self) -> u64 {
        self.model.iter().map(|file| file.bytes).sum()
    }
}

/// A weight file, or the files in a model's directory.
fn files_of(path: &Path) -> Vec<FileState> {
    let paths = match fs::read_dir(path) {
        Ok(entries) => entries.filter_map(|entry| Some(entry.ok()?.path())).collect(),
        Err(_) => vec![path.to_owned()],
    };
    let state = |path: PathBuf| {
        let file = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
        Some(FileState { path, bytes: file.len(), modified: file.modified().ok(), inode: inode(&file) })
    };
    let mut files: Vec<FileState> = paths.into_iter().filter_map(state).collect();
    files.sort();
    files
}

#[cfg(unix)]
fn inode(file: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(file)
}

#[cfg(not(unix))]
fn inode(_: &fs::Metadata) -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use amanuensis_weights::fixture::write_gibberish;
    use clap::{Args, Command, FromArgMatches};

    use super::*;

    #[tokio::test]
    async fn a_model_is_what_its_files_are_now() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tiny");
        let write = || {
            fs::create_dir(&path).unwrap();
            write_gibberish(&path).unwrap();
        };
        write();
        let matches = Config::augment_args(Command::new("serve")).get_matches_from(["serve", "--threads=1"]);
        let config = Config::from_arg_matches(&matches).unwrap();
        let pool = ModelPool::new(Store::at(directory.path().join("store")), path.clone(), &config);
        let first = pool.get("whisper-1").await.unwrap();
        assert!(Arc::ptr_eq(&first, &pool.get("whisper-1").await.unwrap()));

        fs::rename(&path, directory.path().join("old")).unwrap();
        assert!(matches!(pool.get("whisper-1").await, Err(PoolError::Unknown { .. })));
        write();
        let second = pool.get("whisper-1").await.unwrap();
        assert!(!Arc::ptr_eq(&first, &second));
        assert_eq!(pool.loaded().len(), 1);

        let file = path.join("config.json");
        let other = fs::read_to_string(&file).unwrap() + "\n";
        fs::write(&file, other).unwrap();
        let third = pool.get("whisper-1").await.unwrap();
        assert!(!Arc::ptr_eq(&second, &third));
        assert!(Arc::ptr_eq(&third, &pool.get("whisper-1").await.unwrap()));
    }
}
