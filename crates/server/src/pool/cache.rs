//! The cache of loaded models: which are in memory, how much they use, and which is unloaded for another.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::SystemTime;

use amanuensis_transcribe::Transcriber;
use tokio::sync::OnceCell;

/// Holds a model once it is loaded. Requests that wait for the same model share the cell.
pub type ModelCell = Arc<OnceCell<Arc<Transcriber>>>;

/// The loaded models, by path.
#[derive(Default)]
pub struct ModelCache {
    entries: HashMap<PathBuf, Entry>,
    retired: Vec<Retired>,
    /// Incremented at each use: a timestamp for `last_used`.
    clock: u64,
}

/// A model that is loaded or being loaded.
struct Entry {
    cell: ModelCell,
    /// The files at the time of loading.
    files: ModelFiles,
    last_used: u64,
}

/// A model whose files were replaced or removed. Requests that use it or wait for it keep it in memory until they finish.
enum Retired {
    Loading(Entry),
    Loaded { transcriber: Weak<Transcriber>, bytes: u64 },
}

impl ModelCache {
    /// The models that are completely loaded.
    pub fn models(&self) -> impl Iterator<Item = &Transcriber> {
        self.entries.values().filter_map(|entry| entry.cell.get().map(Arc::as_ref))
    }

    /// Retires models that no longer match the files at their path, as `is_outdated` says. Running requests keep them.
    pub fn retire(&mut self, mut is_outdated: impl FnMut(&PathBuf, &ModelFiles) -> bool) {
        let outdated = self.entries.extract_if(|path, entry| is_outdated(path, &entry.files));
        let outdated = outdated.map(|(_, entry)| Retired::Loading(entry));
        let retired = std::mem::take(&mut self.retired);
        self.retired = retired.into_iter().chain(outdated).filter_map(Retired::update).collect();
    }

    /// The cell of the model at `path`.
    pub fn find(&mut self, path: &Path) -> Option<ModelCell> {
        self.clock += 1;
        let entry = self.entries.get_mut(path)?;
        entry.last_used = self.clock;
        Some(Arc::clone(&entry.cell))
    }

    /// Adds an empty cell for the model at `path`, and unloads others until all together use at most `budget_bytes`. `None` if the
    /// models in use leave too little memory.
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

    /// Removes the cell of a model that failed to load.
    pub fn remove_failed(&mut self, path: &Path, cell: &ModelCell) {
        // Not if the path has a new cell by now, or if other requests hold the cell and try to load the model again. Two holders
        // are this cache and the request that failed.
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
    /// Whether no request uses the model or waits for it.
    fn is_idle(&self) -> bool {
        Arc::strong_count(&self.cell) == 1
            && self.cell.get().is_none_or(|transcriber| Arc::strong_count(transcriber) == 1)
    }
}

impl Retired {
    /// Follows the model from loading to loaded; `None` once no request uses it.
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

/// Drops a model on a thread of its own. Dropping waits for the model's decoding thread, and no request should wait for that.
fn drop_in_background(entry: Entry) {
    // If no thread can be created, the closure is dropped here, and the model with it.
    let _ = thread::Builder::new().name("amanuensis-unload".to_owned()).spawn(|| drop(entry));
}

/// The state of the files of a model. If it has changed, the model has to be loaded again.
#[derive(PartialEq)]
pub struct ModelFiles {
    /// The model's own files.
    pub model: Vec<FileState>,
    /// The files of the VAD model that is loaded with it; `None` if that is not installed.
    pub vad: Option<Vec<FileState>>,
}

/// Metadata by which a changed file is recognised.
#[derive(PartialEq, PartialOrd, Eq, Ord)]
pub struct FileState {
    path: PathBuf,
    bytes: u64,
    modified: Option<SystemTime>,
    /// The inode number on Unix, otherwise 0.
    inode: u64,
}

impl ModelFiles {
    /// Size of the model's own files in bytes: the measure of its memory use.
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
