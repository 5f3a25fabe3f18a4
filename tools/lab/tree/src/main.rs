//! `tree`: draws the pictures of the documents, writes the index of the documentation, shows what modules need.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};

use slopos_tree::markdown::Document;
use slopos_tree::modules::{self, Methods};
use slopos_tree::{files, index, layers, packages, tour};

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
    /// Lists the programs of tools/, each behind its package.
    Tools,
    /// Prints the circles between the files of each crate, or of one, with the names behind them.
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
                    println!("{}: {} files in a circle", target.file.display(), group.len());
                    for line in graph.explain(&group) {
                        println!("    {line}");
                    }
                }
            }
        }
    }
    Ok(())
}
