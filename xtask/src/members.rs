//! The members of the workspace.

use cargo_metadata::{MetadataCommand, Package};

use crate::Outcome;

/// Returns the published members.
pub(crate) fn published() -> Outcome<Vec<Package>> {
    let mut metadata = MetadataCommand::new().no_deps().exec()?;
    metadata.packages.retain(|package| package.publish.is_none());
    Ok(metadata.packages)
}

/// Returns those that are libraries.
pub(crate) fn libraries(packages: &[Package]) -> impl Iterator<Item = &Package> {
    packages.iter().filter(|package| package.targets.iter().any(|target| target.is_lib()))
}

/// The features of a package that a user can name, without `default`.
pub(crate) fn features(package: &Package) -> impl Iterator<Item = &str> {
    package.features.keys().map(String::as_str).filter(|name| *name != "default")
}
