//! A picture as SVG, for light and dark pages alike: colours are classes, and the reader's preference chooses them.

use std::fmt::Write;

/// What the classes look like. A picture has no other colours.
const STYLE: &str = "
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.small { font-size: 11.5px; fill: #59636e }
.title { font-weight: 600 }
.code { font: 12px ui-monospace, monospace }
.box { fill: #f6f8fa; stroke: #59636e }
.strong { fill: #ddf4ff; stroke: #0969da }
.user { fill: #dafbe1; stroke: #1a7f37 }
.hard { fill: #fff8c5; stroke: #9a6700 }
.line { stroke: #59636e; fill: none; stroke-width: 1.5 }
.lane { stroke: #d1d9e0; fill: none }
.dot { fill: #0969da }
.grant { fill: #bc4c00 }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc }
.small { fill: #9198a1 }
.box { fill: #151b23; stroke: #9198a1 }
.strong { fill: #0c2d6b; stroke: #4493f8 }
.user { fill: #033a16; stroke: #3fb950 }
.hard { fill: #341a00; stroke: #d29922 }
.line { stroke: #9198a1 }
.lane { stroke: #3d444d }
.dot { fill: #4493f8 }
.grant { fill: #f0883e }
}
";

/// A picture that is being drawn. All lengths are in pixels.
pub struct Svg {
    width: u32,
    body: String,
}

impl Svg {
    /// An empty picture of this width; `title` is read to who cannot see it.
    pub fn new(width: u32, title: &str) -> Svg {
        Svg { width, body: format!("<title>{}</title>\n<style>{STYLE}</style>\n", escape(title)) }
    }

    /// A box with its corner at `x`, `y`.
    pub fn rectangle(&mut self, class: &str, x: i32, y: i32, width: i32, height: i32) {
        self.add(&format!(r#"<rect class="{class}" x="{x}" y="{y}" width="{width}" height="{height}" rx="5"/>"#));
    }

    /// A text whose first letter stands at `x`, on the line `y`.
    pub fn text(&mut self, class: &str, x: i32, y: i32, text: &str) {
        self.add(&format!(r#"<text class="{class}" x="{x}" y="{y}">{}</text>"#, escape(text)));
    }

    /// A text whose middle is at `x`.
    pub fn centred(&mut self, class: &str, x: i32, y: i32, text: &str) {
        self.add(&format!(r#"<text class="{class}" x="{x}" y="{y}" text-anchor="middle">{}</text>"#, escape(text)));
    }

    /// A text that rises to the right from `x`, `y`.
    pub fn slanted(&mut self, class: &str, x: i32, y: i32, text: &str) {
        self.add(&format!(
            r#"<text class="{class}" transform="translate({x} {y}) rotate(-40)">{}</text>"#,
            escape(text)
        ));
    }

    /// A line through these points.
    pub fn path(&mut self, class: &str, points: &[(i32, i32)]) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x},{y}")).collect();
        self.add(&format!(r#"<polyline class="{class}" points="{}"/>"#, points.join(" ")));
    }

    /// A full circle.
    pub fn dot(&mut self, class: &str, x: i32, y: i32, radius: i32) {
        self.add(&format!(r#"<circle class="{class}" cx="{x}" cy="{y}" r="{radius}"/>"#));
    }

    /// The file, for a picture of this height.
    pub fn finish(self, height: i32) -> String {
        let Svg { width, body } = self;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\">\n{body}</svg>\n"
        )
    }

    fn add(&mut self, element: &str) {
        // Writing to a String cannot fail.
        let _: std::fmt::Result = writeln!(self.body, "{element}");
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
