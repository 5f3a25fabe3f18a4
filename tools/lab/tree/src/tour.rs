//! The pictures of doc/tour.md, drawn from its own lists: each numbered item is a stop, and its link says in which
//! layer.

use anyhow::{Context, Result, ensure};

use crate::markdown::{Document, Stop};
use crate::svg::Svg;

/// The layers from the outside in, by what the path of a stop's file begins with. The first that fits counts.
const LANES: [(&str, &str); 9] = [
    ("userland/", "process"),
    ("chips/x86_64/", "processor"),
    ("kernel/", "kernel"),
    ("boards/", "board"),
    ("capsules/net/src/tcp/", "TCP"),
    ("capsules/net/src/sockets/", "sockets"),
    ("capsules/net/src/wire/", "formats"),
    ("capsules/net/", "stack"),
    ("chips/", "driver"),
];

/// The order in which the lanes are drawn, from left to right.
const ORDER: [&str; 9] = ["process", "processor", "kernel", "board", "driver", "stack", "formats", "sockets", "TCP"];

/// Words in a stop that mark it as the one that enters a grant.
pub const ENTERS: &str = "enters the grant";

/// One way through the system.
pub struct Way {
    /// The heading that it stands under.
    pub heading: String,
    /// The picture's file name, in the folder of the tour.
    pub file: String,
    /// In their order.
    pub stops: Vec<Stop>,
}

/// The ways that `tour` describes.
pub fn ways(tour: &Document) -> Vec<Way> {
    let mut ways: Vec<Way> = Vec::new();
    for stop in tour.stops() {
        match ways.last_mut().filter(|way| way.heading == stop.heading) {
            Some(way) => way.stops.push(stop),
            None => {
                let slug: String = stop
                    .heading
                    .to_lowercase()
                    .chars()
                    .filter_map(|c| if c.is_ascii_alphanumeric() { Some(c) } else { (c == ' ').then_some('-') })
                    .collect();
                ways.push(Way { heading: stop.heading.clone(), file: format!("{slug}.svg"), stops: vec![stop] });
            }
        }
    }
    ways
}

/// How wide a lane is, how high a stop, and where the first of each lies.
const LANE: i32 = 30;
const ROW: i32 = 42;
const LEFT: i32 = 24;
const TOP: i32 = 92;
/// Where the words begin, and how many of them fit beside each other.
const WORDS: i32 = LEFT + LANE * ORDER.len() as i32 + 4;
const LETTERS: usize = 84;

/// The picture of a way, as an SVG file.
///
/// Errors: a stop has no link to a file of a layer, or says too much for its row.
pub fn draw(way: &Way) -> Result<String> {
    let mut svg = Svg::new(860, &way.heading);
    let x = |lane: usize| LEFT + LANE * lane as i32;
    let y = |row: usize| TOP + ROW * row as i32 + ROW / 2;
    let bottom = TOP + ROW * way.stops.len() as i32;
    for (lane, name) in ORDER.iter().enumerate() {
        svg.path("lane", &[(x(lane), TOP - 8), (x(lane), bottom)]);
        svg.slanted("small", x(lane), TOP - 14, name);
    }
    let mut points = Vec::new();
    for (row, stop) in way.stops.iter().enumerate() {
        points.push((x(lane(stop)?), y(row)));
    }
    svg.path("line", &points);
    for ((row, stop), &(x, y)) in way.stops.iter().enumerate().zip(&points) {
        svg.dot(if stop.text.contains(ENTERS) { "grant" } else { "dot" }, x, y, 6);
        let (name, what) = parts(stop)?;
        svg.text("code", WORDS, y - 6, &format!("{} {name}", row + 1));
        svg.text("small", WORDS, y + 11, &what);
    }
    Ok(svg.finish(bottom + 8))
}

/// The lane of the file that a stop leads to.
fn lane(stop: &Stop) -> Result<usize> {
    let link = stop.link.as_ref().with_context(|| format!("the stop {:?} has no link", stop.text))?;
    let path = link.target.trim_start_matches("../");
    let name = LANES.iter().find(|(prefix, _)| path.starts_with(prefix)).map(|(_, name)| *name);
    let name = name.with_context(|| format!("{path} lies in no layer"))?;
    ORDER.iter().position(|lane| *lane == name).context("a lane that is not drawn")
}

/// The function of a stop, and what it does: its text up to the first full stop.
fn parts(stop: &Stop) -> Result<(String, String)> {
    let name = stop.link.as_ref().and_then(|link| link.code.clone()).context("a stop's link names no function")?;
    let begin = format!("{name}: ");
    let rest =
        stop.text.strip_prefix(&begin).with_context(|| format!("the stop {:?} has no `[name](file): `", stop.text))?;
    let what = rest.split(". ").next().unwrap_or(rest).trim_end_matches('.').to_owned();
    ensure!(what.chars().count() <= LETTERS, "the first sentence of {name} has more than {LETTERS} letters: {what}");
    Ok((name, what))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> Document {
        Document { path: "doc/tour.md".into(), text: text.to_owned() }
    }

    #[test]
    fn a_list_becomes_a_picture() {
        let text = "## A frame's way in\n\n1. [`Net::receive`](../chips/virtio/src/net/mod.rs): takes a buffer. And more.\n2. [`read`](../kernel/src/call.rs): enters the grant.\n";
        let ways = ways(&document(text));
        assert_eq!((ways.len(), ways[0].file.as_str()), (1, "a-frames-way-in.svg"));
        let svg = draw(&ways[0]).unwrap();
        assert!(svg.contains("1 Net::receive<") && svg.contains(">takes a buffer<") && !svg.contains("And more"));
        assert_eq!((svg.matches("class=\"dot\"").count(), svg.matches("class=\"grant\"").count()), (1, 1));
    }

    #[test]
    fn stops_without_a_layer_or_with_too_many_words_are_refused() {
        for item in ["nothing", "[`f`](../tools/x.rs): a", "[f](../kernel/x.rs): a", "first [`f`](../kernel/x.rs)"] {
            assert!(draw(&ways(&document(&format!("# A\n\n1. {item}\n")))[0]).is_err(), "{item}");
        }
        let long = format!("# A\n\n1. [`f`](../kernel/x.rs): {}\n", "word ".repeat(30));
        assert!(draw(&ways(&document(&long))[0]).is_err());
    }
}
