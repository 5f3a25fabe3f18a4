//! Begins an app: a crate that builds and does something, and an entry in a board's manifest.
//!
//! [`plan`] works all of it out and refuses what cannot be; [`Plan::carry_out`] writes, and what it cannot complete it
//! takes back. So a wrong name, a full flash or a folder that is there leaves everything as it was.
//!
//! An app in the tree is a folder of userland/apps. One outside of it is a workspace of its own, whose crate depends on
//! this tree's libslop by path, and whose entry in the manifest names its folder.
#![forbid(unsafe_code)]

mod entry;
mod name;

use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::{Component, Path, PathBuf};
use toml::de::DeTable;

/// What is asked for.
pub struct Request {
    /// The app's name, which its process has too.
    pub name: String,
    /// The folder of an app outside of the tree.
    pub outside: Option<PathBuf>,
    /// The manifest that gets the entry.
    pub manifest: PathBuf,
}

/// All that will be written.
pub struct Plan {
    /// The app's folder.
    pub folder: PathBuf,
    files: Vec<(&'static str, String)>,
    manifest: PathBuf,
    text: String,
}

/// Works out a new app for the tree in `root`.
///
/// # Errors
/// The name cannot be an app's or is taken, the folder is there, or the manifest would be wrong. Nothing was written.
pub fn plan(root: &Path, request: &Request) -> Result<Plan> {
    let name = request.name.as_str();
    name::check(name)?;
    let root = root.canonicalize().with_context(|| root.display().to_string())?;
    no_package(&root, name)?;
    let manifest = request.manifest.canonicalize().with_context(|| request.manifest.display().to_string())?;
    let old = fs::read_to_string(&manifest).with_context(|| manifest.display().to_string())?;
    let shown = manifest.strip_prefix(&root).unwrap_or(&manifest);
    let (folder, files, path) = match &request.outside {
        None => {
            let folder = root.join("userland/apps").join(name);
            (folder, vec![("Cargo.toml", INSIDE.to_owned()), ("src/main.rs", MAIN.to_owned())], None)
        }
        Some(folder) => {
            let folder = absolute(folder)?;
            ensure!(
                !folder.starts_with(&root),
                "{} lies in the tree, where an app is a folder of userland/apps: leave --outside away",
                folder.display()
            );
            let library = root.join("userland/libslop");
            let package = OUTSIDE
                .replace("BUILD", &quoted(&between(&folder, &library.join("app_build.rs")))?)
                .replace("LIBSLOP", &quoted(&between(&folder, &library))?);
            let files = vec![
                ("Cargo.toml", package),
                (".cargo/config.toml", CONFIG.to_owned()),
                (".gitignore", "/target/\n".to_owned()),
                ("src/main.rs", MAIN.to_owned()),
            ];
            let place = manifest.parent().context("a manifest lies in a folder")?;
            let path = utf8(&between(place, &folder))?.to_owned();
            (folder, files, Some(path))
        }
    };
    let free = fs::read_dir(&folder).map_or(!folder.exists(), |mut entries| entries.next().is_none());
    ensure!(free, "{} is there already, and not empty", folder.display());
    let above = folder.parent().filter(|above| above.is_dir());
    ensure!(above.is_some(), "there is no folder for {} to lie in", folder.display());
    let files = files.into_iter().map(|(file, text)| (file, text.replace("NAME", name))).collect();
    let text = entry::add(&old, shown, name, path.as_deref())?;
    Ok(Plan { folder, files, manifest, text })
}

const MAIN: &str = include_str!("../template/main.rs");
const INSIDE: &str = include_str!("../template/inside.toml");
const OUTSIDE: &str = include_str!("../template/outside.toml");
const CONFIG: &str = include_str!("../template/config.toml");

impl Plan {
    /// Writes the app's folder and the manifest; both appear when they are complete.
    ///
    /// # Errors
    /// Something cannot be written. What was written before is removed again.
    pub fn carry_out(&self) -> Result<()> {
        let (folder, manifest) = (beside(&self.folder), beside(&self.manifest));
        // Whoever began an app of this name at the same time, or died while doing so, has this folder.
        fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let written = self.write(&folder, &manifest);
        if written.is_err() {
            // Best effort: the first error is the one to tell.
            let _ = fs::remove_dir_all(&folder);
            let _ = fs::remove_file(&manifest);
        }
        written
    }

    fn write(&self, folder: &Path, manifest: &Path) -> Result<()> {
        for (file, text) in &self.files {
            write(&folder.join(file), text)?;
        }
        write(manifest, &self.text)?;
        let permissions = fs::metadata(&self.manifest).with_context(|| self.manifest.display().to_string())?;
        fs::set_permissions(manifest, permissions.permissions()).with_context(|| manifest.display().to_string())?;
        fs::rename(folder, &self.folder).with_context(|| format!("cannot make {}", self.folder.display()))?;
        fs::rename(manifest, &self.manifest)
            .with_context(|| format!("cannot write {}", self.manifest.display()))
            .inspect_err(|_| {
                // As above.
                let _ = fs::remove_dir_all(&self.folder);
            })
    }
}

/// Where something is written before it takes its place: beside it, and hidden.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!(".{name}.new"))
}

/// Writes a file, and makes the folders that it lies in.
fn write(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
    folder.and_then(|()| fs::write(path, text)).with_context(|| format!("cannot write {}", path.display()))
}

/// Refuses the name of a package of the tree or of one that it depends on: `cargo build -p NAME` could mean either.
fn no_package(root: &Path, name: &str) -> Result<()> {
    let path = root.join("Cargo.lock");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let lock = DeTable::parse(&text).with_context(|| path.display().to_string())?;
    let packages = lock.get_ref().get("package").and_then(|all| all.get_ref().as_array());
    let packages = packages.with_context(|| format!("{} lists no packages", path.display()))?;
    let named =
        |package: &toml::de::DeValue<'_>| package.get("name").and_then(|known| known.get_ref().as_str()) == Some(name);
    if packages.iter().any(|package| named(package.get_ref())) {
        bail!("`{name}` is a package already: one of this tree, or one that it depends on");
    }
    Ok(())
}

/// A path without links, from the root of the file system; its last part need not be there.
fn absolute(path: &Path) -> Result<PathBuf> {
    let path = std::path::absolute(path).with_context(|| path.display().to_string())?;
    if let Ok(found) = path.canonicalize() {
        return Ok(found);
    }
    let (Some(above), Some(Component::Normal(name))) = (path.parent(), path.components().next_back()) else {
        bail!("{} is no folder's path", path.display());
    };
    let above = above.canonicalize().with_context(|| format!("the folder {}", above.display()))?;
    Ok(above.join(name))
}

/// The way from a folder to `target`, both without links: relative, so that both can be moved together; absolute where they
/// share no folder but the root.
fn between(folder: &Path, target: &Path) -> PathBuf {
    let common = folder.components().zip(target.components()).take_while(|(one, other)| one == other).count();
    if common < 2 {
        return target.to_owned();
    }
    let up = folder.components().skip(common).map(|_| Component::ParentDir);
    up.chain(target.components().skip(common)).collect()
}

fn utf8(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8, which a TOML file has to be", path.display()))
}

/// A path as a TOML file says it.
fn quoted(path: &Path) -> Result<String> {
    Ok(toml_edit::Value::from(utf8(path)?).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_is_relative_where_folders_have_something_in_common() {
        let way = |folder: &str, target: &str| between(Path::new(folder), Path::new(target)).display().to_string();
        assert_eq!(way("/x/u/banner", "/x/u/slopos/userland/libslop"), "../slopos/userland/libslop");
        assert_eq!(way("/x/u/slopos/boards/q35", "/x/u/banner"), "../../../banner");
        assert_eq!(way("/y/banner", "/x/u/slopos"), "/x/u/slopos");
    }

    #[test]
    fn a_path_is_quoted_as_toml_wants_it() {
        assert_eq!(quoted(Path::new("a b")).unwrap(), "\"a b\"");
        assert_eq!(quoted(Path::new("a\"b\\c")).unwrap(), "'a\"b\\c'");
    }
}
