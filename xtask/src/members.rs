//! The members of the workspace.

use cargo_metadata::{MetadataCommand, Package};

use crate::Outcome;

/// Returns the published members.
pub(crate) fn published() -> Outcome<Vec<Package>> {
    let mut metadata = MetadataCommand::new().no_deps().exec()?;
    metadata.packages.retain(|package| package.publish.is_none());
    Ok(metadata.packages)
}
