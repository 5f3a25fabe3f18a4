//! Keys go in; what a terminal of 80 columns shows comes out.

use super::*;
use crate::completion::tests::PROCESSES;
use crate::line::LINE_MAX;
use crate::row::WIDTH;
use std::boxed::Box;
use std::string::String;
use std::vec::Vec;

const PROMPT: &str = "slopos> ";

/// A terminal of 80 columns, as far as the editor uses one.
struct Screen {
    rows: Vec<Vec<u8>>,
    column: usize,
    bells: usize,
}

impl Screen {
    fn new() -> Screen {
        Screen { rows: vec![Vec::new()], column: 0, bells: 0 }
    }

    fn write(&mut self, text: &str) {
        for byte in text.bytes() {
            let row = self.rows.last_mut().expect("there is always a row");
            match byte {
                b'\n' => {
                    self.rows.push(Vec::new());
                    self.column = 0;
                }
                8 => self.column = self.column.checked_sub(1).expect("not beyond the left edge"),
                7 => self.bells += 1,
                b' '..=b'~' => {
                    assert!(self.column < 80, "the row would wrap: {}", self.show());
                    row.resize(row.len().max(self.column + 1), b' ');
                    row[self.column] = byte;
                    self.column += 1;
                }
                other => panic!("{other:#x} is no text"),
            }
        }
    }

    /// The last row without the prompt and without the blanks at its end, with `_` before the cursor.
    fn show(&self) -> String {
        let row = String::from_utf8(self.rows.last().expect("a row").clone()).expect("text");
        let mut row = row.trim_end().to_owned();
        while row.len() < self.column {
            row.push(' ');
        }
        row.insert(self.column, '_');
        row.strip_prefix(PROMPT).unwrap_or(&row).into()
    }
}

/// An editor with its terminal.
struct Typist {
    editor: Editor<'static>,
    other: &'static mut Line,
    screen: Screen,
    /// All that was written to the terminal.
    echo: String,
    lines: Vec<String>,
}

impl Typist {
    fn new() -> Typist {
        let [line, other] = [Line::new(), Line::new()].map(|line| Box::leak(Box::new(line)));
        let editor = Editor::new(line, Box::leak(Box::new(History::new())), &PROCESSES);
        let mut typist = Typist { editor, other, screen: Screen::new(), echo: String::new(), lines: Vec::new() };
        typist.prompt();
        typist
    }

    fn prompt(&mut self) {
        let mut text = String::from(PROMPT);
        self.editor.redraw(&mut text);
        self.screen.write(&text);
    }

    /// Types keys; returns what the screen shows of the line.
    fn keys(&mut self, keys: &str) -> String {
        for key in keys.bytes() {
            let mut text = String::new();
            let typed = self.editor.key(key, &mut text);
            self.screen.write(&text);
            self.echo += &text;
            match typed {
                Typed::Nothing => {}
                Typed::Line => {
                    self.editor.take_line(&mut self.other);
                    self.lines.push(self.other.as_str().into());
                    self.prompt();
                }
                Typed::Choices => {
                    let mut list = String::new();
                    self.editor.choices().list(&mut list).expect("a string takes all");
                    self.screen.write(&list);
                    self.prompt();
                }
                Typed::Clear => {
                    self.screen = Screen::new();
                    self.prompt();
                }
            }
        }
        self.screen.show()
    }
}

fn lines(keys: &str) -> Vec<String> {
    let mut typist = Typist::new();
    typist.keys(keys);
    typist.lines
}

fn shown(keys: &str) -> String {
    Typist::new().keys(keys)
}

const LEFT: &str = "\x1b[D";
const RIGHT: &str = "\x1b[C";
const UP: &str = "\x1b[A";
const DOWN: &str = "\x1b[B";

#[test]
fn keys_are_echoed_and_return_ends_the_line_once() {
    let mut typist = Typist::new();
    typist.keys("ps\r\nnet\n");
    assert_eq!((typist.lines, typist.echo.as_str()), (vec!["ps".into(), "net".into()], "ps\nnet\n"));
}

#[test]
fn backspace_erases_but_not_beyond_the_start() {
    assert_eq!(lines("\x7fpx\x7fs\r"), ["ps"]);
    let mut typist = Typist::new();
    typist.keys("a\x08\x08b\r");
    assert_eq!(typist.echo, "a\x08 \x08b\n");
}

#[test]
fn text_goes_in_where_the_cursor_is() {
    assert_eq!(shown(&format!("ps{LEFT}x")), "px_s");
    assert_eq!(shown(&format!("pxs{LEFT}\x7f")), "p_s");
    assert_eq!(shown(&format!("pxs{LEFT}{LEFT}\x1b[3~")), "p_s");
    assert_eq!(shown("pxs\x02\x02\x04"), "p_s");
    assert_eq!(shown("abc\x1b[Hx\x1b[Fy"), "xabcy_");
    assert_eq!(shown("abc\x01x\x05y"), "xabcy_");
    assert_eq!(shown(&format!("ab{LEFT}{LEFT}{LEFT}{RIGHT}x")), "ax_b");
    assert_eq!(shown(&format!("ab{RIGHT}\x06\x04c")), "abc_");
    // Return takes the whole line, wherever the cursor is, and leaves what is shown as it is.
    let mut typist = Typist::new();
    assert_eq!(typist.keys("net; ps\x01\r"), "_");
    assert_eq!((typist.lines, typist.screen.rows[0].as_slice()), (vec!["net; ps".into()], &b"slopos> net; ps"[..]));
}

#[test]
fn control_u_w_and_k_erase_parts_of_the_line() {
    assert_eq!(shown("one two\x15ps"), "ps_");
    assert_eq!(shown(&format!("one two{LEFT}{LEFT}{LEFT}\x15")), "_two");
    assert_eq!(shown("one two \x17ps"), "one ps_");
    assert_eq!(shown(&format!("one two{LEFT}\x17")), "one _o");
    assert_eq!(shown(&format!("one two{LEFT}{LEFT}\x0b")), "one t_");
    assert_eq!(shown("\x15\x17\x0b\x04x"), "x_");
}

#[test]
fn up_and_down_walk_through_earlier_lines_and_back_to_the_one_being_typed() {
    assert_eq!(lines(&format!("a\rb\r{UP}{UP}\r")), ["a", "b", "a"]);
    assert_eq!(lines(&format!("a\rb\r{UP}{UP}{DOWN}\r")), ["a", "b", "b"]);
    assert_eq!(lines(&format!("a\r{UP}{UP}{UP}\r")), ["a", "a"]);
    assert_eq!(lines("a\rb\r\x10\x10\x0e\r"), ["a", "b", "b"]);
    assert_eq!(shown(&format!("grants\rps\rnet{UP}")), "ps_");
    assert_eq!(shown(&format!("grants\rps\rnet{UP}{UP}{DOWN}{DOWN}{DOWN}")), "net_");
    assert_eq!(shown(&format!("grants\rps\r{UP}{UP}{DOWN}{DOWN}")), "_");
    assert_eq!(lines(&format!("ps\rx{UP}\r{UP}{UP}\r")), ["ps", "ps", "ps"]);
}

#[test]
fn control_c_drops_the_line_and_control_l_clears_the_screen() {
    assert_eq!(lines("abc\x03ps\r"), ["", "ps"]);
    let mut typist = Typist::new();
    typist.keys("abc\x01\x03");
    assert_eq!(typist.screen.rows[0], b"slopos> abc^C");
    typist.keys("abc\x02");
    assert_eq!((typist.keys("\x0c").as_str(), typist.screen.rows.len()), ("ab_c", 1));
}

#[test]
fn tab_completes_a_word_and_lists_the_choices_the_second_time() {
    assert_eq!(shown("web\t-s"), "webget -s_");
    assert_eq!(shown("sta\tm\t"), "start monitor _");
    assert_eq!(shown("log w\t"), "log warn _");
    assert_eq!(shown("ps; res\tsp\t"), "ps; restart spread10 _");
    // What the choices have in common; then a bell, then the choices.
    let mut typist = Typist::new();
    assert_eq!((typist.keys("s\t").as_str(), typist.screen.bells), ("s_", 1));
    assert_eq!(typist.keys("\t"), "s_");
    assert_eq!(typist.screen.rows.len(), 4);
    assert_eq!(typist.screen.rows[1], b"sleep             sockets           spread10          start");
    assert_eq!(typist.screen.rows[2], b"stop              stumbler");
    assert_eq!(typist.keys("t\t\x7f\t"), "s_", "another key in between begins anew");
    assert_eq!((typist.screen.rows.len(), typist.screen.bells), (4, 3));
    let mut typist = Typist::new();
    typist.keys("webget \t\t");
    assert_eq!((typist.screen.bells, typist.screen.rows.len()), (2, 1), "nothing is known of its arguments");
}

#[test]
fn tab_completes_the_word_before_the_cursor() {
    assert_eq!(shown(&format!("kill stum x{LEFT}{LEFT}\t")), "kill stumbler _x");
    assert_eq!(shown(&format!("mon;ps{LEFT}{LEFT}{LEFT}\t")), "monitor _;ps");
}

#[test]
fn a_long_line_is_shown_around_the_cursor_and_never_wraps() {
    let mut typist = Typist::new();
    let line: String = (0..200).map(|index| char::from(b'a' + index % 26)).collect();
    for (index, key) in line.chars().enumerate() {
        let shown = typist.keys(key.encode_utf8(&mut [0; 4]));
        assert!(shown.ends_with(&format!("{key}_")), "{shown}");
        assert_eq!(shown.starts_with('<'), index >= WIDTH, "{shown}");
    }
    // The prompt was written once: nobody takes the line shown again for a new one.
    assert_eq!(typist.screen.rows.len(), 1);
    assert!(!typist.echo.contains('>'));
    for left in 1..=200 {
        let shown = typist.keys(LEFT);
        let at = shown.find('_').expect("a cursor");
        let next = shown[at + 1..].chars().next().expect("a character");
        assert!(next == '>' || next == '<' || line[200 - left..].starts_with(next), "{left}: {shown}");
        assert!(shown.len() <= WIDTH + 1, "{shown}");
    }
    let begin = typist.keys("");
    assert!(begin.starts_with("_abc") && begin.ends_with('>'), "{begin}");
    let end = typist.keys("\x05");
    assert!(end.starts_with('<') && end.ends_with(&format!("{}_", &line[190..])), "{end}");
    assert_eq!(typist.keys("\x01\x0bps"), "ps_");
    typist.keys("\r");
    assert_eq!(typist.lines, ["ps"]);
}

#[test]
fn unknown_keys_and_sequences_leave_the_line_alone() {
    assert_eq!(lines("a\x1b[3~\x1b[1;5Cb\x00\u{ff}\x1bxc\r"), ["abc"]);
}

#[test]
fn a_terminals_report_is_never_a_command() {
    // What a terminal says where some output has asked for its title, its colours, its settings, its clipboard.
    for report in [
        &b"\x1b]lexit\r\x1b\\"[..],
        b"\x1b]0;exit\r\x07",
        b"\x1bP1$rexit\r\x1b\\",
        b"\x1b_exit\r\x1b\\",
        b"\x9dexit\r\x9c",
        b"\xc2\x90exit\r\xc2\x9c",
    ] {
        let mut typist = Typist::new();
        for byte in [b"p", report, b"s\r"].concat() {
            if typist.editor.key(byte, &mut typist.echo) == Typed::Line {
                typist.editor.take_line(&mut typist.other);
                typist.lines.push(typist.other.as_str().into());
            }
        }
        assert_eq!(typist.lines, ["ps"], "{report:x?}");
    }
}

#[test]
fn a_line_that_is_full_takes_no_more() {
    let keys = "x".repeat(LINE_MAX + 10) + "\r";
    assert_eq!(lines(&keys)[0].len(), LINE_MAX);
}
