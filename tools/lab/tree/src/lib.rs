//! What the tree promises about itself, checked: that links and names in its documents lead somewhere, that commands
//! print what a document shows, that modules do not depend on each other in a cycle, and that the pictures are the
//! ones that are drawn from the text.
//!
//! Nothing here knows what the system does. The checks are tests, in `tests/`; the end-to-end tests use [`shown`] for
//! the commands that need a built board.
#![forbid(unsafe_code)]

pub mod book;
pub mod declared;
pub mod files;
pub mod index;
pub mod layers;
pub mod links;
pub mod listings;
pub mod markdown;
pub mod modules;
pub mod names;
pub mod packages;
pub mod shown;
pub mod svg;
pub mod tour;
pub mod words;
