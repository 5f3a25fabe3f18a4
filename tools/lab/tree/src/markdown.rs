//! What the checks need of a Markdown document: its links, anchors, words of code, and blocks.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use regex::Regex;

/// One Markdown file.
pub struct Document {
    /// Relative to the tree's root.
    pub path: PathBuf,
    /// The file's text.
    pub text: String,
}

/// A link or a picture.
#[derive(Debug, PartialEq, Eq)]
pub struct Link {
    /// The line that it begins in, from 1.
    pub line: usize,
    /// Where it leads, as written.
    pub target: String,
    /// The text, where all of it is a span of code.
    pub code: Option<String>,
}

/// What is done about a block: its comment is `<!-- KIND: TEXT -->`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `shown`: commands that are carried out, with what they print ([`crate::shown`]).
    Shown,
    /// `listing`: what a file of the tree has ([`crate::listings`]).
    Listing,
    /// `scratch`: a file of the copy of the tree in which the book's apps are built ([`crate::book`]).
    Scratch,
    /// `not run`: nothing, for the reason that the text gives.
    NotRun,
}

/// The comment right before a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    /// What is done about the block.
    pub kind: Kind,
    /// What that has to know.
    pub text: String,
}

impl Marker {
    /// The marker in a comment; `None` where it is any other comment.
    fn parse(comment: &str) -> Option<Marker> {
        let inside = comment.trim().strip_prefix("<!--")?.strip_suffix("-->")?;
        let (kind, text) = inside.split_once(':')?;
        let kind = match kind.trim() {
            "shown" => Kind::Shown,
            "listing" => Kind::Listing,
            "scratch" => Kind::Scratch,
            "not run" => Kind::NotRun,
            _ => return None,
        };
        Some(Marker { kind, text: text.trim().to_owned() })
    }
}

/// A fenced block.
#[derive(Debug, PartialEq, Eq)]
pub struct Block {
    /// The line of its fence, from 1.
    pub line: usize,
    /// The word behind the fence, or nothing.
    pub language: String,
    /// What the comment right before it says.
    pub marker: Option<Marker>,
    /// What stands between the fences.
    pub text: String,
}

/// An item of an ordered list.
#[derive(Debug, PartialEq, Eq)]
pub struct Stop {
    /// The heading that the list stands under.
    pub heading: String,
    /// The item's text, without its links' targets.
    pub text: String,
    /// The first link in it.
    pub link: Option<Link>,
}

impl Document {
    /// Reads the file `path`, which is relative to `root`.
    ///
    /// Errors: it cannot be read, or is no UTF-8.
    pub fn read(root: &Path, path: &Path) -> Result<Document> {
        let text =
            std::fs::read_to_string(root.join(path)).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Document { path: path.to_owned(), text })
    }

    /// A place in the document, for messages: `path:line`.
    pub fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }

    fn line(&self, offset: usize) -> usize {
        self.text[..offset].matches('\n').count() + 1
    }

    fn events(&self) -> impl Iterator<Item = (Event<'_>, Range<usize>)> {
        Parser::new_ext(&self.text, Options::ENABLE_TABLES).into_offset_iter()
    }

    /// Each link and picture, those of inline HTML included.
    pub fn links(&self) -> Vec<Link> {
        let attribute = Regex::new(r#"(?:src|srcset|href)="([^"]+)""#).expect("a pattern");
        let mut links = Vec::new();
        // Open links, with the text that they have so far: code alone, or anything else.
        let mut open: Vec<(Link, bool)> = Vec::new();
        for (event, range) in self.events() {
            match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    let link = Link { line: self.line(range.start), target: dest_url.into_string(), code: None };
                    open.push((link, true));
                }
                Event::End(TagEnd::Link | TagEnd::Image) => {
                    let (mut link, only_code) = open.pop().expect("what ends has begun");
                    if !only_code {
                        link.code = None;
                    }
                    links.push(link);
                }
                Event::Code(code) => {
                    if let Some((link, only_code)) = open.last_mut() {
                        *only_code &= link.code.is_none();
                        link.code = Some(code.into_string());
                    }
                }
                Event::Html(html) | Event::InlineHtml(html) => {
                    for found in attribute.captures_iter(&html) {
                        links.push(Link { line: self.line(range.start), target: found[1].to_owned(), code: None });
                    }
                }
                Event::Text(_) => {
                    if let Some((_, only_code)) = open.last_mut() {
                        *only_code = false;
                    }
                }
                _ => {}
            }
        }
        links
    }

    /// The anchors of the headings, by the rule of the usual forges: lower case, without punctuation, blanks as
    /// hyphens, and a number behind one that was there before.
    pub fn anchors(&self) -> BTreeSet<String> {
        let mut anchors = BTreeSet::new();
        let mut used: HashMap<String, usize> = HashMap::new();
        for heading in self.headings() {
            let slug: String = heading
                .to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect();
            let count = used.entry(slug.clone()).or_default();
            anchors.insert(if *count == 0 { slug } else { format!("{slug}-{count}") });
            *count += 1;
        }
        anchors
    }

    fn headings(&self) -> Vec<String> {
        let mut headings = Vec::new();
        let mut open: Option<String> = None;
        for (event, _) in self.events() {
            match event {
                Event::Start(Tag::Heading { .. }) => open = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => headings.extend(open.take()),
                Event::Text(text) | Event::Code(text) => {
                    if let Some(heading) = &mut open {
                        heading.push_str(&text);
                    }
                }
                _ => {}
            }
        }
        headings
    }

    /// The fenced blocks, each with its marker.
    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut marker = None;
        let mut html = String::new();
        let mut open: Option<Block> = None;
        for (event, range) in self.events() {
            match event {
                Event::Start(Tag::HtmlBlock) => html.clear(),
                Event::Html(part) => html.push_str(&part),
                Event::End(TagEnd::HtmlBlock) => {
                    marker = Marker::parse(&html);
                }
                Event::Start(Tag::CodeBlock(kind)) => {
                    let language = match kind {
                        CodeBlockKind::Fenced(language) => language.into_string(),
                        CodeBlockKind::Indented => String::new(),
                    };
                    let line = self.line(range.start);
                    open = Some(Block { line, language, marker: marker.take(), text: String::new() });
                }
                Event::Text(text) if open.is_some() => {
                    if let Some(block) = &mut open {
                        block.text.push_str(&text);
                    }
                }
                Event::End(TagEnd::CodeBlock) => blocks.extend(open.take()),
                Event::Start(_) => marker = None,
                _ => {}
            }
        }
        blocks
    }

    /// Each word of the prose, of spans of code, and of blocks that are no source text, with its line.
    pub fn words(&self) -> Vec<(usize, String)> {
        let mut words = Vec::new();
        let mut source = false;
        for (event, range) in self.events() {
            match event {
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) => {
                    source = matches!(&*language, "rust" | "toml");
                }
                Event::End(TagEnd::CodeBlock) => source = false,
                Event::Text(text) | Event::Code(text) if !source => {
                    let line = self.line(range.start);
                    for (below, part) in text.lines().enumerate() {
                        words.extend(part.split_whitespace().map(|word| (line + below, word.to_owned())));
                    }
                }
                _ => {}
            }
        }
        words
    }

    /// The items of the ordered lists, each with the heading above it.
    pub fn stops(&self) -> Vec<Stop> {
        let mut stops = Vec::new();
        let mut heading = String::new();
        let mut in_heading = false;
        let mut ordered = Vec::new();
        let mut open: Option<Stop> = None;
        let mut link: Option<Link> = None;
        for (event, range) in self.events() {
            match event {
                Event::Start(Tag::Heading { .. }) => {
                    heading.clear();
                    in_heading = true;
                }
                Event::End(TagEnd::Heading(_)) => in_heading = false,
                Event::Start(Tag::List(first)) => ordered.push(first.is_some()),
                Event::End(TagEnd::List(_)) => {
                    ordered.pop();
                }
                Event::Start(Tag::Item) if ordered == [true] => {
                    open = Some(Stop { heading: heading.clone(), text: String::new(), link: None });
                }
                Event::End(TagEnd::Item) if ordered == [true] => stops.extend(open.take()),
                Event::Start(Tag::Link { dest_url, .. }) => {
                    link = Some(Link { line: self.line(range.start), target: dest_url.into_string(), code: None });
                }
                Event::End(TagEnd::Link) => {
                    if let (Some(stop), Some(link)) = (&mut open, link.take()) {
                        stop.link.get_or_insert(link);
                    }
                }
                Event::Text(text) if in_heading => heading.push_str(&text),
                Event::Code(code) => {
                    if let Some(link) = &mut link {
                        link.code = Some(code.to_string());
                    }
                    if let Some(stop) = &mut open {
                        stop.text.push_str(&code);
                    }
                }
                Event::Text(text) => {
                    if let Some(stop) = &mut open {
                        stop.text.push_str(&text);
                    }
                }
                Event::SoftBreak | Event::HardBreak => {
                    if let Some(stop) = &mut open {
                        stop.text.push(' ');
                    }
                }
                _ => {}
            }
        }
        stops
    }
}

/// Every Markdown file of the tree.
///
/// Errors: a folder or a file cannot be read.
pub fn documents(root: &Path) -> Result<Vec<Document>> {
    crate::files::with_extension(root, "md")?.iter().map(|path| Document::read(root, path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> Document {
        Document { path: "a.md".into(), text: text.to_owned() }
    }

    #[test]
    fn links_are_found_with_their_line_and_code() {
        let links = document("one\n\n[`Net::receive`](net.rs) and ![a `b`](c.svg)\n\n<img src=\"d.svg\">\n").links();
        let found: Vec<_> = links.iter().map(|link| (link.line, link.target.as_str(), link.code.as_deref())).collect();
        assert_eq!(found, [(3, "net.rs", Some("Net::receive")), (3, "c.svg", None), (5, "d.svg", None)]);
    }

    #[test]
    fn anchors_follow_the_forges_rule() {
        let anchors = document("# What is here, by `decision`\n\n## A\n\n## A\n\n## A_b-c\n").anchors();
        assert_eq!(anchors.into_iter().collect::<Vec<_>>(), ["a", "a-1", "a_b-c", "what-is-here-by-decision"]);
    }

    #[test]
    fn a_marker_belongs_to_the_block_right_after_it() {
        let text = "<!-- shown: one; varies: a.c -->\n```console\n$ true\n```\n\n```\nno\n```\n\n<!-- shown: two -->\n\ntext\n\n```\nno\n```\n";
        let blocks = document(text).blocks();
        let found: Vec<_> = blocks.iter().map(|block| (block.line, block.marker.clone())).collect();
        let marker = Marker { kind: Kind::Shown, text: "one; varies: a.c".into() };
        assert_eq!(found, [(2, Some(marker)), (6, None), (14, None)]);
        for (comment, kind) in
            [("listing: a.rs", Kind::Listing), ("scratch: a.rs", Kind::Scratch), ("not run: why", Kind::NotRun)]
        {
            assert_eq!(Marker::parse(&format!("<!-- {comment} -->")).map(|marker| marker.kind), Some(kind));
        }
        assert_eq!(Marker::parse("<!-- a remark: of any kind -->"), None);
        assert_eq!((blocks[0].language.as_str(), blocks[0].text.as_str()), ("console", "$ true\n"));
    }

    #[test]
    fn stops_are_the_items_of_ordered_lists() {
        let stops = document("## Way\n\n1. [`f`](a/b.rs): one\n   line\n2. two\n   - not this\n\n- nor this\n").stops();
        assert_eq!(stops.len(), 2);
        assert_eq!((stops[0].heading.as_str(), stops[0].text.as_str()), ("Way", "f: one line"));
        assert_eq!(stops[0].link.as_ref().and_then(|link| link.code.as_deref()), Some("f"));
    }
}
