//! Which models have a place in memory, and who has to make room.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::SystemTime;

use amanuensis_transcribe::Transcriber;
use tokio::sync::OnceCell;

/// A model's place, empty until it is loaded.
pub type Cell = Arc<OnceCell<Arc<Transcriber>>>;

/// The models in memory.
#[derive(Default)]
pub struct Loaded {
    slots: HashMap<PathBuf, Slot>,
    former: Vec<Former>,
    /// Counts uses.
    clock: u64,
}

/// A model that is in memory, or on its way there.
struct Slot {
    cell: Cell,
    /// The files that it was made of.
    files: Files,
    last_used: u64,
}

/// A model that is nobody's any more but of those who use it or wait for it. It takes its room until they are done.
enum Former {
    Loading(Slot),
    Loaded { transcriber: Weak<Transcriber>, bytes: u64 },
}

impl Loaded {
    /// The models that are there.
    pub fn models(&self) -> impl Iterator<Item = &Transcriber> {
        self.slots.values().filter_map(|slot| slot.cell.get().map(Arc::as_ref))
    }

    /// Takes the places of models that are no longer what is at their paths. Whoever works with one goes on with it.
    pub fn retire(&mut self, mut is_gone: impl FnMut(&PathBuf, &Files) -> bool) {
        let gone =
            self.slots.extract_if(|path, slot| is_gone(path, &slot.files)).map(|(_, slot)| Former::Loading(slot));
        let former = std::mem::take(&mut self.former);
        self.former = former.into_iter().chain(gone).filter_map(Former::now).collect();
    }

    /// The place of the model at `path`, if it has one.
    pub fn find(&mut self, path: &Path) -> Option<Cell> {
        self.clock += 1;
        let slot = self.slots.get_mut(path)?;
        slot.last_used = self.clock;
        Some(Arc::clone(&slot.cell))
    }

    /// A place for the model at `path`, within `budget` bytes; none where those in use leave no room.
    pub fn add(&mut self, path: &Path, files: Files, budget: u64) -> Option<Cell> {
        while self.bytes() + files.bytes() > budget {
            let idle = self.slots.iter().filter(|(_, slot)| slot.is_idle());
            let oldest = idle.min_by_key(|(_, slot)| slot.last_used).map(|(path, _)| path.clone())?;
            self.slots.remove(&oldest).into_iter().for_each(let_go);
        }
        let cell = Cell::default();
        self.slots.insert(path.to_owned(), Slot { cell: Arc::clone(&cell), files, last_used: self.clock });
        Some(cell)
    }

    /// Takes a place back whose model could not be loaded.
    pub fn give_up(&mut self, path: &Path, cell: &Cell) {
        // It may be another's by now, or another may be loading it anew: then not only the caller and this hold it.
        let is_to_go = |slot: &Slot| Arc::ptr_eq(&slot.cell, cell) && Arc::strong_count(cell) == 2;
        if self.slots.get(path).is_some_and(is_to_go) {
            self.slots.remove(path);
        }
    }

    fn bytes(&self) -> u64 {
        let former = self.former.iter().map(|former| match former {
            Former::Loading(slot) => slot.files.bytes(),
            Former::Loaded { transcriber, bytes } => {
                if transcriber.strong_count() > 0 {
                    *bytes
                } else {
                    0
                }
            }
        });
        former.chain(self.slots.values().map(|slot| slot.files.bytes())).sum()
    }
}

impl Slot {
    /// Whether nobody but the pool holds it.
    fn is_idle(&self) -> bool {
        Arc::strong_count(&self.cell) == 1
            && self.cell.get().is_none_or(|transcriber| Arc::strong_count(transcriber) == 1)
    }
}

impl Former {
    /// What has become of it; none where nobody holds it any more.
    fn now(self) -> Option<Self> {
        match self {
            Self::Loading(slot) if slot.is_idle() => {
                let_go(slot);
                None
            }
            Self::Loading(slot) => {
                let Some(transcriber) = slot.cell.get().map(Arc::downgrade) else { return Some(Self::Loading(slot)) };
                Some(Self::Loaded { transcriber, bytes: slot.files.bytes() })
            }
            Self::Loaded { ref transcriber, .. } => (transcriber.strong_count() > 0).then_some(self),
        }
    }
}

/// Drops a model. Its thread has to end first, for which no request should wait.
fn let_go(slot: Slot) {
    // Where there is no thread for it, the one that failed to be made has dropped it.
    let _ = thread::Builder::new().name("amanuensis-let-go".to_owned()).spawn(|| drop(slot));
}

/// The files that a model is made of. Others in their place are another model, whatever it is called.
#[derive(PartialEq)]
pub struct Files {
    pub model: Vec<FileState>,
    /// Those of what finds speech for it.
    pub detector: Option<Vec<FileState>>,
}

/// What tells one state of a file from another.
#[derive(PartialEq, PartialOrd, Eq, Ord)]
pub struct FileState {
    path: PathBuf,
    bytes: u64,
    modified: Option<SystemTime>,
    /// The number that the file system has for it, where there is such a thing.
    inode: u64,
}

impl Files {
    /// Bytes of the model.
    pub fn bytes(&self) -> u64 {
        self.model.iter().map(|file| file.bytes).sum()
    }
}

/// A weight file, or the files in a model's directory.
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
