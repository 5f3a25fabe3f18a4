//! The audit of an image: who holds how much, why, and whether the sums are right.

use crate::audit::{Audit, COMMANDS, ENTROPY, NETWORK, Owner, Row, SCHEMA, Unaccounted, grant_section};
use crate::grants::Accounts;
use crate::reviewed;
use crate::world::{self, Object, Ownership};
use slopos_elf::image::{Image, Section};
use slopos_elf::types::{Shape, TypeId, Types};
use slopos_manifest::{Expanded, size};

/// Shared statics at least this large are shown field by field.
const SHOW_FIELDS: u64 = 1024;

/// Audits an image against the manifest that it carries.
pub fn audit(image: &Image, manifest: &Expanded) -> Audit {
    let mut accounts = Accounts::new(image, manifest);
    let mut audit = Audit {
        schema: SCHEMA,
        board: manifest.board.name.clone(),
        manifest: manifest.file.clone(),
        build_id: image.build_id_text(),
        budget_bytes: manifest.board.network_budget.value,
        budget_line: manifest.board.network_budget.line,
        development_key: manifest.board.keys.iter().any(|key| key.development),
        ..Audit::default()
    };
    audit.processes = manifest.processes.iter().map(|process| accounts.process(process)).collect();
    accounts.check_constants();

    let writable: Vec<&Section> =
        image.sections.iter().filter(|section| section.writable && section.size > 0).collect();
    for &section in &writable {
        audit.writable_bytes += section.size;
        let known = |name: &str| manifest.processes.iter().any(|process| process.name == name);
        match Ownership::of(&section.name) {
            Ownership::Grant { process, capsule } if known(&process) && capsule == NETWORK => {
                audit.grant_bytes += section.size;
            }
            // No network memory: the network's budget is not charged with it.
            Ownership::Grant { process, capsule }
                if known(&process) && [COMMANDS, ENTROPY].contains(&capsule.as_str()) => {}
            Ownership::Process(process) if known(&process) => {}
            Ownership::Shared(name) if name == "net" => {
                audit.shared_bytes += section.size;
                shared(image, section, &mut audit.shared, &mut accounts.unaccounted);
            }
            Ownership::Owner(name) => {
                let (rows, lost) = statics(image, section);
                accounts.unaccounted.extend(lost);
                audit.owners.push(Owner { owner: name, section: section.name.clone(), bytes: section.size, rows });
            }
            Ownership::Reviewed => {
                let (owner, lost) = reviewed_section(image, section);
                accounts.unaccounted.extend(lost);
                audit.owners.push(owner);
            }
            Ownership::Nobody => accounts.unaccounted.extend(world::contents(image, section).unaccounted),
            Ownership::Grant { .. } | Ownership::Process(_) | Ownership::Shared(_) => {
                accounts.unaccounted.push(Unaccounted {
                    section: section.name.clone(),
                    address: section.address,
                    bytes: section.size,
                    what: "a section of nobody in the manifest".into(),
                    declared: String::new(),
                });
            }
        }
    }
    for part in parts_of_memory(image, &writable) {
        let (padding, lost) = world::between(&part);
        audit.padding_bytes += padding;
        accounts.unaccounted.extend(lost);
    }
    audit.unaccounted_bytes = accounts.unaccounted.iter().map(|unaccounted| unaccounted.bytes).sum();
    audit.unaccounted = accounts.unaccounted;
    audit.problems = accounts.problems;
    find_problems(&mut audit);
    audit
}

/// Adds what follows from the sums.
fn find_problems(audit: &mut Audit) {
    for lost in &audit.unaccounted {
        let place = if lost.section.is_empty() { String::new() } else { format!(" in {}", lost.section) };
        let declared =
            if lost.declared.is_empty() { String::new() } else { format!(", declared at {}", lost.declared) };
        audit.problems.push(format!(
            "{} bytes at {:#x}{place} have no owner: {}{declared}; a writable static is declared in boards/, in its \
             owner's section",
            lost.bytes, lost.address, lost.what
        ));
    }
    let need = audit.network_bytes();
    if need > audit.budget_bytes {
        audit.problems.push(format!(
            "{}:{}: network memory needs {need} bytes ({} of grants, {} shared); `network_budget` allows {} ({} bytes)",
            audit.manifest,
            audit.budget_line,
            audit.grant_bytes,
            audit.shared_bytes,
            size::show(audit.budget_bytes),
            audit.budget_bytes
        ));
    }
    for process in &audit.processes {
        for grant in &process.grants {
            let sum: u64 = grant.rows.iter().map(|row| row.bytes).sum();
            let lost = audit
                .unaccounted
                .iter()
                .filter(|lost| lost.section == grant_section(&process.name, grant.capsule.as_str()));
            let lost: u64 = lost.map(|lost| lost.bytes).sum();
            if sum + lost != grant.bytes {
                audit.problems.push(format!(
                    "the rows of `{}` in {} sum up to {sum} bytes, and its section has {}",
                    process.name, grant.capsule, grant.bytes
                ));
            }
        }
    }
}

/// The writable sections, grouped by the segment that they lie in: segments are apart from each other by design.
fn parts_of_memory<'s>(image: &Image, writable: &[&'s Section]) -> Vec<Vec<&'s Section>> {
    let inside = |section: &&&Section, start: u64, size: u64| (start..start + size).contains(&section.address);
    let segments = image.segments.iter();
    segments
        .map(|segment| {
            writable.iter().filter(|section| inside(section, segment.address, segment.size)).copied().collect()
        })
        .collect()
}

/// The rows of a section of statics.
fn statics(image: &Image, section: &Section) -> (Vec<Row>, Vec<Unaccounted>) {
    let contents = world::contents(image, section);
    (world::rows(&contents), contents.unaccounted)
}

/// A section of the reviewed list: statics with a reason each, or memory that holds no statics at all.
fn reviewed_section(image: &Image, section: &Section) -> (Owner, Vec<Unaccounted>) {
    let name = section.name.clone();
    let Some(owner) = reviewed::region(&section.name) else {
        let contents = world::contents(image, section);
        let mut rows = world::rows(&contents);
        for row in &mut rows {
            if let Some(reason) = reviewed::reason(&section.name, &row.what) {
                row.asked_by = reason.to_owned();
            }
        }
        let owner = Owner { owner: "processor (reviewed list)".into(), section: name, bytes: section.size, rows };
        return (owner, contents.unaccounted);
    };
    // A symbol with a size is a static, which does not belong here.
    let contents = world::contents(image, section);
    let lost: Vec<Unaccounted> = contents
        .unaccounted
        .into_iter()
        .filter(|lost| image.symbols.iter().any(|symbol| symbol.name == lost.what))
        .collect();
    let rest = section.size.saturating_sub(lost.iter().map(|lost| lost.bytes).sum::<u64>());
    let rows = vec![Row { what: owner.to_owned(), bytes: rest, ..Row::default() }];
    (Owner { owner: owner.to_owned(), section: name, bytes: section.size, rows }, lost)
}

/// The shared network memory, item by item.
fn shared(image: &Image, section: &Section, rows: &mut Vec<Row>, unaccounted: &mut Vec<Unaccounted>) {
    let contents = world::contents(image, section);
    for object in &contents.objects {
        rows.extend(items(&image.types, object));
    }
    rows.extend(world::padding(contents.padding));
    unaccounted.extend(contents.unaccounted);
}

/// A static as one row, or field by field where it is large. The rows sum up to its size.
fn items(types: &Types, object: &Object) -> Vec<Row> {
    let row = |what: String, bytes: u64| Row { what, bytes, asked_by: object.declared.clone(), ..Row::default() };
    let inner = object.kind.and_then(|kind| structure(types, kind));
    let (Some(fields), true) = (inner, object.size >= SHOW_FIELDS) else {
        return vec![row(object.name.clone(), object.size)];
    };
    let mut rows: Vec<Row> = fields
        .iter()
        .filter(|(_, bytes)| *bytes > 0)
        .map(|(name, bytes)| row(format!("{}.{name}", object.name), *bytes))
        .collect();
    let sum: u64 = rows.iter().map(|row| row.bytes).sum();
    if sum < object.size {
        rows.push(row(format!("{}: flag of the cell and padding", object.name), object.size - sum));
    }
    rows
}

/// The fields of the structure inside wrappers, with their sizes; `None` where there is no structure.
fn structure(types: &Types, kind: TypeId) -> Option<Vec<(&str, u64)>> {
    let found = types.get(kind)?;
    let Shape::Structure(fields) = &found.shape else { return None };
    let size = |id: TypeId| types.get(id).map_or(0, |kind| kind.size);
    let wrapped = fields.iter().find(|field| field.name == "val" || size(field.kind) == found.size);
    match wrapped {
        Some(inner) if found.size > 0 => structure(types, inner.kind),
        _ => Some(fields.iter().map(|field| (field.name.as_str(), size(field.kind))).collect()),
    }
}

#[cfg(test)]
mod tests;
