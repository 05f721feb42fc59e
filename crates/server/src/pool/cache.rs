//! The cache of loaded models. It tracks which models are in memory and how much memory they use, and unloads models
//! to make room for others.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::SystemTime;

use amanuensis_transcribe::Transcriber;
use tokio::sync::OnceCell;

/// A cell that is empty until its model has been loaded. All requests that wait for the same model share one cell.
pub type ModelCell = Arc<OnceCell<Arc<Transcriber>>>;

/// The models in memory. The key is the path of the model.
#[derive(Default)]
pub struct ModelCache {
    entries: HashMap<PathBuf, Entry>,
    retired: Vec<Retired>,
    /// Counts the uses of all models. The `last_used` of a model is the value of this counter at its most recent use.
    clock: u64,
}

/// A model that is loaded or being loaded.
struct Entry {
    cell: ModelCell,
    /// The state of the model's files when the model was loaded. The model is outdated if the files have changed
    /// since then.
    files: ModelFiles,
    last_used: u64,
}

/// A model whose files were replaced or removed. It stays in memory until all requests that use it or wait for it
/// have finished.
enum Retired {
    Loading(Entry),
    Loaded { transcriber: Weak<Transcriber>, bytes: u64 },
}

impl ModelCache {
    /// The models that have been loaded completely and are not retired.
    pub fn models(&self) -> impl Iterator<Item = &Transcriber> {
        self.entries.values().filter_map(|entry| entry.cell.get().map(Arc::as_ref))
    }

    /// Retires the models for which `is_outdated` returns true, because their files have changed. A retired model
    /// gets no new requests, but running requests keep it.
    pub fn retire(&mut self, mut is_outdated: impl FnMut(&PathBuf, &ModelFiles) -> bool) {
        let outdated = self.entries.extract_if(|path, entry| is_outdated(path, &entry.files));
        let outdated = outdated.map(|(_, entry)| Retired::Loading(entry));
        let retired = std::mem::take(&mut self.retired);
        self.retired = retired.into_iter().chain(outdated).filter_map(Retired::update).collect();
    }

    /// The cell of the model at `path`. `None` if the model is not in the cache. The call counts as a use of the
    /// model.
    pub fn find(&mut self, path: &Path) -> Option<ModelCell> {
        self.clock += 1;
        let entry = self.entries.get_mut(path)?;
        entry.last_used = self.clock;
        Some(Arc::clone(&entry.cell))
    }

    /// Adds an empty cell for the model at `path`. Before that, unloads the least recently used idle models until all
    /// models, including the new one, use at most `budget_bytes`. Returns `None` if this is impossible because the
    /// other models are in use.
    pub fn add(&mut self, path: &Path, files: ModelFiles, budget_bytes: u64) -> Option<ModelCell> {
        while self.bytes() + files.bytes() > budget_bytes {
            let idle = self.entries.iter().filter(|(_, entry)| entry.is_idle());
            let oldest = idle.min_by_key(|(_, entry)| entry.last_used).map(|(path, _)| path.clone())?;
            self.entries.remove(&oldest).into_iter().for_each(drop_in_background);
        }
        let cell = ModelCell::default();
        self.entries.insert(path.to_owned(), Entry { cell: Arc::clone(&cell), files, last_used: self.clock });
        Some(cell)
    }

    /// Removes the cell of a model that failed to load, unless another request still uses the cell.
    pub fn remove_failed(&mut self, path: &Path, cell: &ModelCell) {
        // Keep the cell in two cases: another cell has replaced it, or other requests hold it and try to load the
        // model again. If the strong count is 2, only this cache and the failed request hold the cell.
        let is_removable = |entry: &Entry| Arc::ptr_eq(&entry.cell, cell) && Arc::strong_count(cell) == 2;
        if self.entries.get(path).is_some_and(is_removable) {
            self.entries.remove(path);
        }
    }

    fn bytes(&self) -> u64 {
        let retired = self.retired.iter().map(|retired| match retired {
            Retired::Loading(entry) => entry.files.bytes(),
            Retired::Loaded { transcriber, bytes } => {
                if transcriber.strong_count() > 0 {
                    *bytes
                } else {
                    0
                }
            }
        });
        retired.chain(self.entries.values().map(|entry| entry.files.bytes())).sum()
    }
}

impl Entry {
    /// Whether no request uses this model or waits for it.
    fn is_idle(&self) -> bool {
        Arc::strong_count(&self.cell) == 1
            && self.cell.get().is_none_or(|transcriber| Arc::strong_count(transcriber) == 1)
    }
}

impl Retired {
    /// Changes a retired model from `Loading` to `Loaded` if it has been loaded in the meantime. Returns `None` if no
    /// request uses the model any more.
    fn update(self) -> Option<Self> {
        match self {
            Self::Loading(entry) if entry.is_idle() => {
                drop_in_background(entry);
                None
            }
            Self::Loading(entry) => {
                let Some(transcriber) = entry.cell.get().map(Arc::downgrade) else { return Some(Self::Loading(entry)) };
                Some(Self::Loaded { transcriber, bytes: entry.files.bytes() })
            }
            Self::Loaded { ref transcriber, .. } => (transcriber.strong_count() > 0).then_some(self),
        }
    }
}

/// Drops a model on a separate thread. Dropping a model waits for its decoding thread, and this wait would delay a
/// request.
fn drop_in_background(entry: Entry) {
    // If no thread can be created, the closure is dropped here, and the model with it.
    let _ = thread::Builder::new().name("amanuensis-unload".to_owned()).spawn(|| drop(entry));
}

/// The state of a model's files. If the state changes, the model must be loaded again.
#[derive(PartialEq)]
pub struct ModelFiles {
    /// The model's own files.
    pub model: Vec<FileState>,
    /// The files of the VAD model that is loaded together with the model. `None` if no VAD model is installed.
    pub vad: Option<Vec<FileState>>,
}

/// Metadata of a file. If the metadata has changed, the file counts as changed.
#[derive(PartialEq, PartialOrd, Eq, Ord)]
pub struct FileState {
    path: PathBuf,
    bytes: u64,
    modified: Option<SystemTime>,
    /// The inode number on Unix. 0 on other systems.
    inode: u64,
}

impl ModelFiles {
    /// Size of the model's own files in bytes. It serves as the measure of the model's memory use.
    pub fn bytes(&self) -> u64 {
        self.model.iter().map(|file| file.bytes).sum()
    }
}

/// The state of the weight file `path`, or of all files in the model directory `path`.
pub fn files_of(path: &Path) -> Vec<FileState> {
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
