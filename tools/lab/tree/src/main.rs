//! `tree`: draws the pictures of the documents, writes the index of the documentation, shows what modules need.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};

use slopos_tree::markdown::{Document, Kind, documents};
use slopos_tree::modules::{self, Methods};
use slopos_tree::{book, files, index, layers, listings, packages, shown, tour};

/// What the tree says of itself: pictures, index, dependencies.
#[derive(Parser)]
#[command(name = "tree", after_help = HELP)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Draws doc/*.svg anew.
    Draw,
    /// Writes index.html into rustdoc's output folder.
    Index {
        /// The folder, target/doc by default.
        folder: Option<PathBuf>,
    },
    /// Writes the listings of the documents anew, from the files that they are taken from.
    Listings,
    /// Carries out each command that the README and the book show, and compares what it prints.
    Walk {
        /// A checkout of the tree; this one by default.
        checkout: Option<PathBuf>,
    },
    /// Lists the programs of tools/, each behind its package.
    Tools,
    /// Prints the cycles between the files of each crate, or of one, with the names behind them.
    Cycles {
        /// The package.
        package: Option<String>,
        /// Calls of methods that stand apart from their type count too.
        #[arg(long)]
        methods: bool,
    },
}

const HELP: &str = "\
Examples:
  tree draw
  tree walk
  tree cycles slopos-net --methods

Exit status:
  0  done
  1  something cannot be read or written, or there is no such package
  2  the command line is wrong";

fn main() -> ExitCode {
    slopos_cli::main(run)
}

fn run(options: Options) -> Result<()> {
    let root = files::root();
    match options.command {
        Command::Draw => {
            let doc = root.join("doc");
            std::fs::write(doc.join("layers.svg"), layers::draw())?;
            for way in tour::ways(&Document::read(&root, "doc/tour.md".as_ref())?) {
                std::fs::write(doc.join(&way.file), tour::draw(&way)?)?;
            }
        }
        Command::Index { folder } => {
            let folder = folder.unwrap_or_else(|| root.join("target/doc"));
            let file = folder.join("index.html");
            std::fs::write(&file, index::page(&root, &packages::all(&root)?)?)
                .with_context(|| format!("cannot write {}", file.display()))?;
            println!("{}", file.display());
        }
        Command::Listings => {
            for document in documents(&root)? {
                let text = listings::renew(&root, &document)?;
                if text != document.text {
                    std::fs::write(root.join(&document.path), text)?;
                    println!("{}", document.path.display());
                }
            }
        }
        Command::Walk { checkout } => walk(&checkout.unwrap_or(root).canonicalize()?)?,
        Command::Tools => {
            for (package, tool) in packages::tools(&root)? {
                println!("{package} {tool}");
            }
        }
        Command::Cycles { package, methods } => {
            let methods = if methods { Methods::Apart } else { Methods::Ignored };
            let mut packages = packages::all(&root)?;
            if let Some(name) = package {
                packages.retain(|package| package.name == name);
                if packages.is_empty() {
                    bail!("{name} is no package");
                }
            }
            for target in packages.iter().flat_map(|package| &package.targets) {
                let graph = modules::read(&root, &target.file, methods)?;
                for group in graph.cycles(|_| true) {
                    println!("{}: {} files in a cycle", target.file.display(), group.len());
                    for line in graph.explain(&group) {
                        println!("    {line}");
                    }
                }
            }
        }
    }
    Ok(())
}

/// Walks the README and then the book of a checkout, block by block; says what it does, and what it leaves out and why.
fn walk(root: &Path) -> Result<()> {
    let mut walked: Vec<Document> = documents(root)?.into_iter().filter(shown::is_walked).collect();
    walked.sort_by_key(|document| document.path.starts_with("doc"));
    let copy = book::write(root, &walked)?;
    let mut failed = 0;
    for document in &walked {
        for block in document.blocks() {
            let reason = block.marker.filter(|marker| marker.kind == Kind::NotRun);
            if let Some(reason) = reason {
                println!("{}: not run: {}", document.place(block.line), reason.text);
            }
        }
        for block in shown::blocks(document)? {
            println!("{}: {}", block.place, block.name);
            let place = if block.scratch { &copy } else { root };
            if let Err(error) = block.check(place, shown::BUILD_TIME_MAX) {
                failed += 1;
                eprintln!("{error:#}");
            }
        }
    }
    if failed > 0 { bail!("{failed} blocks print something else than they show") } else { Ok(()) }
}
