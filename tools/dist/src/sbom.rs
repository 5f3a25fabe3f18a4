//! What a board is made of, as a CycloneDX document.
//!
//! It has no serial number and no time, for both would differ from one run to the next.

use crate::linked::{Id, Linked, Package};
use anyhow::{Context, Result, anyhow, ensure};
use cyclonedx_bom::external_models::normalized_string::NormalizedString;
use cyclonedx_bom::models::component::{Classification, Component, Components};
use cyclonedx_bom::models::dependency::{Dependencies, Dependency};
use cyclonedx_bom::models::external_reference::{
    ExternalReference, ExternalReferenceType, ExternalReferences, Uri as ReferenceUri,
};
use cyclonedx_bom::models::hash::{Hash, HashAlgorithm, HashValue, Hashes};
use cyclonedx_bom::models::license::{LicenseChoice, Licenses};
use cyclonedx_bom::models::metadata::Metadata;
use cyclonedx_bom::models::property::{Properties, Property};
use cyclonedx_bom::models::tool::Tools;
use cyclonedx_bom::prelude::{Bom, Purl, SpdxExpression, SpecVersion, Uri, Validate};

/// The version of CycloneDX that is written.
const VERSION: SpecVersion = SpecVersion::V1_5;
/// The parts of the language's library that every program is linked with.
const LIBRARY: [&str; 2] = ["core", "compiler_builtins"];

/// What the document is about.
pub struct Subject<'a> {
    /// The board's name.
    pub name: &'a str,
    /// The version of the system.
    pub version: &'a str,
    /// The revision of the sources.
    pub revision: &'a str,
    /// The compiler, in its own words: `1.95.0 (59807616e 2026-04-14)`.
    pub compiler: &'a str,
    /// The kernel and the apps, by their packages.
    pub programs: &'a [Id],
}

/// The document as JSON.
///
/// # Errors
/// What was found does not make a document that is valid.
pub fn write(subject: &Subject<'_>, linked: &Linked) -> Result<Vec<u8>> {
    let bom = document(subject, linked)?;
    let problems = bom.validate_version(VERSION);
    ensure!(problems.passed(), "the list of components is no valid CycloneDX document: {problems:?}");
    let mut json = Vec::new();
    bom.output_as_json(&mut json, VERSION).map_err(|why| anyhow!("the list of components: {why}"))?;
    json.push(b'\n');
    Ok(json)
}

fn document(subject: &Subject<'_>, linked: &Linked) -> Result<Bom> {
    let rust = subject.compiler.split(' ').next().unwrap_or_default();
    let mut components = Vec::new();
    let mut dependencies = Vec::new();
    let library: Vec<_> = LIBRARY.iter().map(|name| format!("rust/{name}@{rust}")).collect();
    for (id, package) in &linked.packages {
        components.push(component(id, package)?);
        let uses = linked.uses.get(id).into_iter().flatten().map(reference);
        let uses = uses.chain(library.iter().cloned()).collect();
        dependencies.push(Dependency { dependency_ref: reference(id), dependencies: uses });
    }
    for (name, reference) in LIBRARY.iter().zip(library) {
        let mut part = Component::new(Classification::Library, name, rust, Some(reference.clone()));
        part.description = Some(NormalizedString::new("Part of Rust's library"));
        part.licenses = Some(licences("MIT OR Apache-2.0")?);
        part.external_references = Some(website(ExternalReferenceType::Vcs, "https://github.com/rust-lang/rust"));
        components.push(part);
        dependencies.push(Dependency { dependency_ref: reference, dependencies: vec![] });
    }
    let own = format!("{}@{}", subject.name, subject.version);
    let mut board = Component::new(Classification::OperatingSystem, subject.name, subject.version, Some(own.clone()));
    board.properties = Some(Properties(vec![Property::new("slopos:revision", subject.revision)]));
    let programs = subject.programs.iter().map(reference).collect();
    dependencies.insert(0, Dependency { dependency_ref: own, dependencies: programs });
    // The document says the compiler in its own words, the date and commit of its release included.
    let compiler = Component::new(Classification::Application, "rustc", subject.compiler, None);
    let tools = Tools::Object { services: None, components: Some(Components(vec![compiler])) };
    let metadata = Metadata { tools: Some(tools), component: Some(board), ..Metadata::default() };
    Ok(Bom {
        spec_version: VERSION,
        serial_number: None,
        metadata: Some(metadata),
        components: Some(Components(components)),
        dependencies: Some(Dependencies(dependencies)),
        ..Bom::default()
    })
}

/// How the document refers to a package.
fn reference(id: &Id) -> String {
    format!("{}@{}", id.name, id.version)
}

fn component(id: &Id, package: &Package) -> Result<Component> {
    let mut component = Component::new(Classification::Library, &id.name, &id.version, Some(reference(id)));
    component.description = package.description.as_deref().map(NormalizedString::new);
    if let Some(licence) = &package.license {
        component.licenses = Some(licences(licence).with_context(|| reference(id))?);
    }
    if package.source.is_some() {
        let purl = Purl::new("cargo", &id.name, &id.version).map_err(|why| anyhow!("{}: {why}", reference(id)))?;
        component.purl = Some(purl);
    }
    if let Some(sum) = &package.checksum {
        let hash = Hash { alg: HashAlgorithm::SHA_256, content: HashValue(sum.clone()) };
        component.hashes = Some(Hashes(vec![hash]));
    }
    if let Some(place) = &package.repository {
        component.external_references = Some(website(ExternalReferenceType::Vcs, place));
    }
    Ok(component)
}

fn licences(expression: &str) -> Result<Licenses> {
    let expression = SpdxExpression::parse_lax(expression.to_owned()).map_err(|why| anyhow!("{why}"))?;
    Ok(Licenses(vec![LicenseChoice::Expression(expression)]))
}

fn website(kind: ExternalReferenceType, place: &str) -> ExternalReferences {
    let url = ReferenceUri::Url(Uri::new(place));
    ExternalReferences(vec![ExternalReference { external_reference_type: kind, url, comment: None, hashes: None }])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linked() -> (Linked, Vec<Id>) {
        let id = |name: &str| Id { name: name.to_owned(), version: "1.0.0".to_owned() };
        let package = |name: &str, licence: &str, source: Option<&str>| Package {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            license: Some(licence.to_owned()),
            description: Some("Does\nthings".to_owned()),
            repository: Some("https://example.org/x".to_owned()),
            source: source.map(str::to_owned),
            manifest_path: "/x/Cargo.toml".into(),
            checksum: source.map(|_| "00".repeat(32)),
        };
        let mut linked = Linked::default();
        linked.packages.insert(id("kernel"), package("kernel", "MIT", None));
        linked.packages.insert(id("ring"), package("ring", "MIT/Apache-2.0", Some("registry")));
        linked.uses.insert(id("kernel"), [id("ring")].into());
        (linked, vec![id("kernel")])
    }

    fn subject(programs: &[Id]) -> Subject<'_> {
        Subject { name: "board", version: "0.2.0", revision: "0123", compiler: "1.95.0 (x 2026-04-14)", programs }
    }

    #[test]
    fn the_document_is_read_back_as_it_was_written() {
        let (linked, programs) = linked();
        let json = write(&subject(&programs), &linked).expect("valid");
        assert_eq!(json, write(&subject(&programs), &linked).expect("valid"), "twice the same");
        let read = Bom::parse_from_json(&json[..]).expect("CycloneDX");
        assert!(read.validate().passed());
        assert_eq!(read, document(&subject(&programs), &linked).expect("a document"));
        assert_eq!((read.serial_number, read.metadata.and_then(|metadata| metadata.timestamp)), (None, None));
    }

    #[test]
    fn a_licence_of_the_old_notation_is_said_in_spdx_s_and_a_wrong_one_refused() {
        let (mut linked, programs) = linked();
        let json = String::from_utf8(write(&subject(&programs), &linked).expect("valid")).expect("UTF-8");
        assert!(json.contains("MIT OR Apache-2.0") && !json.contains("MIT/"), "{json}");
        for package in linked.packages.values_mut() {
            package.license = Some("do what you like".to_owned());
        }
        assert!(write(&subject(&programs), &linked).is_err());
    }
}
