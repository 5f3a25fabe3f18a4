//! Recognises a terminal's sequences of several bytes: keys without a letter, and the terminal's reports.
//!
//! A report is the terminal's answer to some output, which may be anybody's text: it must never be taken for a command.
//! So each sequence is swallowed up to its end, by the rules of ECMA-48 section 5 as `xterm` follows them:
//! control sequences (CSI) to their final byte; the strings OSC, DCS, APC, PM and SOS to the string terminator, OSC also
//! to BEL. A return within a string ends nothing. Control-C ends whatever has begun, as CAN and SUB do, and so does a
//! length that no terminal's report has: a string without an end does not swallow keys for ever.

use crate::line::Key;

/// Longest sequence, in bytes.
const LONGEST: u16 = 4096;

/// The keys that always end a sequence (ECMA-48 section 8.3.6 and 8.3.148).
const CANCEL: u8 = 0x18;
const SUBSTITUTE: u8 = 0x1a;
const BELL: u8 = 7;

/// What a byte means to the line editor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// A key that sends one byte.
    Key(u8),
    /// The up key.
    Up,
    /// The down key.
    Down,
    /// The left key.
    Left,
    /// The right key.
    Right,
    /// The home key.
    Home,
    /// The end key.
    End,
    /// The delete key.
    DeleteNext,
    /// A part of a sequence, or the end of one without a meaning here.
    Nothing,
}

/// The state of the recogniser: what the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between sequences.
    Ground,
    /// In a character of several bytes, of which so many are missing; after 0xc2 it may be a control character.
    Character { left: u8, control: bool },
    /// After an escape.
    Escape,
    /// In an escape sequence with bytes between escape and final byte.
    Intermediate,
    /// In a control sequence, with its parameter as far as it has come.
    Control(Parameter),
    /// After a single shift (SS2, SS3), which some keys send before their letter.
    Shifted,
    /// So many more bytes belong to the sequence.
    Skipped(u8),
    /// In a string.
    Text(Text),
}

/// The parameter of a control sequence, as far as a key without a letter has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parameter {
    /// None yet.
    None,
    /// One digit.
    Digit(u8),
    /// Something else: no key that is known here.
    Other,
}

/// A string: OSC, DCS, APC, PM or SOS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Text {
    /// Whether BEL ends it.
    bell: bool,
    /// An escape came, which may begin the string terminator.
    escape: bool,
    /// Missing bytes of a character; within one, 0x9c is a string terminator only after 0xc2.
    left: u8,
    control: bool,
}

/// Splits the bytes of a terminal into keys and sequences.
#[derive(Debug)]
pub(crate) struct Sequence {
    state: State,
    length: u16,
}

impl Sequence {
    /// Between two sequences.
    pub(crate) const fn new() -> Self {
        Sequence { state: State::Ground, length: 0 }
    }

    /// Takes the next byte.
    pub(crate) fn take(&mut self, byte: u8) -> Meaning {
        if self.state == State::Ground {
            self.length = 0;
        }
        self.length += 1;
        let outside = matches!(self.state, State::Ground | State::Character { .. });
        match byte {
            Key::INTERRUPT => return self.ground(Meaning::Key(byte)),
            CANCEL | SUBSTITUTE if !outside => return self.ground(Meaning::Nothing),
            _ if self.length >= LONGEST => return self.ground(Meaning::Nothing),
            _ => {}
        }
        match self.state {
            State::Ground => self.begin(byte),
            State::Character { left, control } => match byte {
                0x80..=0x9f if control => self.control(byte),
                0x80..=0xbf if left > 1 => self.goes_on(State::Character { left: left - 1, control }),
                0x80..=0xbf => self.ground(Meaning::Nothing),
                _ => self.begin(byte),
            },
            State::Escape => match byte {
                b'[' => self.goes_on(State::Control(Parameter::None)),
                b']' => self.text(true),
                b'P' | b'X' | b'^' | b'_' => self.text(false),
                b'N' | b'O' => self.goes_on(State::Shifted),
                b' '..=b'/' => self.goes_on(State::Intermediate),
                // The escape key and then another key, or a key with Alt, which is swallowed.
                b'\r' | b'\n' | Key::ESCAPE | 0x80.. => self.begin(byte),
                _ => self.ground(Meaning::Nothing),
            },
            State::Intermediate => match byte {
                b' '..=b'/' => Meaning::Nothing,
                _ => self.ground(Meaning::Nothing),
            },
            State::Control(parameter) => match byte {
                // Function keys of the Linux console, and a mouse's report: both go on after their final byte.
                b'[' if parameter == Parameter::None => self.goes_on(State::Skipped(1)),
                b'M' if parameter == Parameter::None => self.goes_on(State::Skipped(3)),
                b'0'..=b'9' if parameter == Parameter::None => self.goes_on(State::Control(Parameter::Digit(byte))),
                b' '..=b'?' => self.goes_on(State::Control(Parameter::Other)),
                b'@'..=b'~' => self.ground(match (parameter, byte) {
                    (Parameter::None, letter) => by_letter(letter),
                    // The keys of a VT220, and those of rxvt.
                    (Parameter::Digit(b'1' | b'7'), b'~') => Meaning::Home,
                    (Parameter::Digit(b'4' | b'8'), b'~') => Meaning::End,
                    (Parameter::Digit(b'3'), b'~') => Meaning::DeleteNext,
                    _ => Meaning::Nothing,
                }),
                // The sequence is cut off: the next byte is a key again.
                b'\r' | b'\n' | Key::ESCAPE | 0x80.. => self.begin(byte),
                _ => Meaning::Nothing,
            },
            State::Shifted | State::Skipped(_) if matches!(byte, b'\r' | b'\n' | Key::ESCAPE) => self.begin(byte),
            State::Shifted => self.ground(by_letter(byte)),
            State::Skipped(left @ 2..) => self.goes_on(State::Skipped(left - 1)),
            State::Skipped(_) => self.ground(Meaning::Nothing),
            State::Text(text) => self.in_text(text, byte),
        }
    }

    /// A byte between two sequences.
    fn begin(&mut self, byte: u8) -> Meaning {
        let character = |left, control| State::Character { left, control };
        match byte {
            Key::ESCAPE => self.goes_on(State::Escape),
            0x80..=0x9f => self.control(byte),
            0xc2 => self.goes_on(character(1, true)),
            0xc3..=0xdf => self.goes_on(character(1, false)),
            0xe0..=0xef => self.goes_on(character(2, false)),
            0xf0..=0xf4 => self.goes_on(character(3, false)),
            _ => self.ground(Meaning::Key(byte)),
        }
    }

    /// A control character of the C1 set, as one byte or in UTF-8.
    fn control(&mut self, byte: u8) -> Meaning {
        match byte {
            0x8e | 0x8f => self.goes_on(State::Shifted),
            0x9b => self.goes_on(State::Control(Parameter::None)),
            0x9d => self.text(true),
            0x90 | 0x98 | 0x9e | 0x9f => self.text(false),
            _ => self.ground(Meaning::Nothing),
        }
    }

    fn in_text(&mut self, text: Text, byte: u8) -> Meaning {
        let plain = Text { escape: false, left: 0, control: false, ..text };
        let next = match byte {
            b'\\' if text.escape => return self.ground(Meaning::Nothing),
            // Another sequence begins, which ends this one.
            _ if text.escape => {
                self.state = State::Escape;
                return self.take(byte);
            }
            Key::ESCAPE => Text { escape: true, ..plain },
            BELL if text.bell => return self.ground(Meaning::Nothing),
            0x9c if text.left == 0 || text.control => return self.ground(Meaning::Nothing),
            0x80..=0xbf if text.left > 1 => Text { left: text.left - 1, ..plain },
            0xc2 => Text { left: 1, control: true, ..plain },
            0xc3..=0xdf => Text { left: 1, ..plain },
            0xe0..=0xef => Text { left: 2, ..plain },
            0xf0..=0xf4 => Text { left: 3, ..plain },
            _ => plain,
        };
        self.goes_on(State::Text(next))
    }

    fn text(&mut self, bell: bool) -> Meaning {
        self.goes_on(State::Text(Text { bell, escape: false, left: 0, control: false }))
    }

    fn goes_on(&mut self, state: State) -> Meaning {
        self.state = state;
        Meaning::Nothing
    }

    fn ground(&mut self, meaning: Meaning) -> Meaning {
        self.state = State::Ground;
        meaning
    }
}

/// The key that sends this letter behind CSI or SS3.
const fn by_letter(letter: u8) -> Meaning {
    match letter {
        b'A' => Meaning::Up,
        b'B' => Meaning::Down,
        b'C' => Meaning::Right,
        b'D' => Meaning::Left,
        b'F' => Meaning::End,
        b'H' => Meaning::Home,
        _ => Meaning::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// The keys that are left of what a terminal sends.
    fn keys(sent: &[u8]) -> Vec<u8> {
        let mut sequence = Sequence::new();
        let key = |&byte: &u8| match sequence.take(byte) {
            Meaning::Key(key) => Some(key),
            Meaning::Up => Some(b'^'),
            Meaning::Down => Some(b'v'),
            Meaning::Left => Some(b'<'),
            Meaning::Right => Some(b'>'),
            Meaning::Home => Some(b'{'),
            Meaning::End => Some(b'}'),
            Meaning::DeleteNext => Some(b'#'),
            Meaning::Nothing => None,
        };
        sent.iter().filter_map(key).collect()
    }

    #[test]
    fn a_string_is_swallowed_up_to_its_end_whatever_is_in_it() {
        for (begin, ends) in [
            (&b"\x1b]"[..], &[&b"\x07"[..], b"\x1b\\", b"\x9c", b"\xc2\x9c"][..]),
            (b"\x9d", &[b"\x07", b"\x1b\\", b"\x9c"]),
            (b"\xc2\x9d", &[b"\x07", b"\x1b\\", b"\xc2\x9c"]),
            (b"\x1bP", &[b"\x1b\\", b"\x9c", b"\xc2\x9c"]),
            (b"\x90", &[b"\x1b\\", b"\x9c"]),
            (b"\xc2\x90", &[b"\x1b\\", b"\x9c"]),
            (b"\x1b_", &[b"\x1b\\", b"\x9c"]),
            (b"\x9f", &[b"\x1b\\", b"\x9c"]),
            (b"\x1b^", &[b"\x1b\\"]),
            (b"\x9e", &[b"\x1b\\"]),
            (b"\x1bX", &[b"\x1b\\"]),
            (b"\x98", &[b"\x1b\\"]),
        ] {
            for end in ends {
                for inside in [&b"exit\r\nkill webget\r"[..], b"", "“exit”\rß\u{2dc}\r".as_bytes(), b"\x9b\xff\0\r"]
                {
                    let sent = [b"a", begin, inside, end, b"b\r"].concat();
                    assert_eq!(keys(&sent), b"ab\r", "{sent:x?}");
                }
            }
        }
    }

    #[test]
    fn a_bell_ends_only_an_osc() {
        assert_eq!(keys(b"\x1bPq\x07exit\r\x1b\\a"), b"a");
        assert_eq!(keys(b"\x1b_q\x07exit\r\x1b\\a"), b"a");
    }

    #[test]
    fn a_string_without_an_end_does_not_swallow_for_ever() {
        assert_eq!(keys(b"\x1b]0;x\x03ps\r"), b"\x03ps\r");
        assert_eq!(keys(b"\x1bPx\x18ps\r"), b"ps\r");
        assert_eq!(keys(b"\x1b_x\x1aps\r"), b"ps\r");
        let mut sent = b"\x9d".to_vec();
        sent.extend([b'x'; 4 * LONGEST as usize]);
        sent.extend(b"ps\r");
        let left = keys(&sent);
        assert!(left.ends_with(b"ps\r") && left.len() < 4 * LONGEST as usize);
        // A sequence that interrupts one ends it.
        assert_eq!(keys(b"\x1b]0;x\x1b[Aps\r"), b"^ps\r");
    }

    #[test]
    fn reports_and_keys_without_a_letter_leave_nothing() {
        for report in [
            &b"\x1b[12;40R"[..],
            b"\x1b[?1;2c",
            b"\x1b[>41;354;0c",
            b"\x9b0n",
            b"\xc2\x9b0n",
            b"\x1b[2 q",
            b"\x1b[?2026;2$y",
            b"\x1bP1$r0m\x1b\\",
            b"\x1b]11;rgb:0000/0000/0000\x07",
            b"\x1b]52;c;ZXhpdAo=\x1b\\",
            b"\x1b[M !!",
            b"\x1b[<0;1;1M",
            b"\x1b[[A",
            b"\x1bOP",
            b"\x8fP",
            b"\x1b[1;5C",
            b"\x1b[13~",
            b"\x1b[?3~",
            b"\x1b[1C",
            b"\x1b(B",
            b"\x1b[200~",
            b"\x1bx",
            "\x1bä".as_bytes(),
        ] {
            assert_eq!(keys(&[b"a", report, b"b"].concat()), b"ab", "{report:x?}");
        }
    }

    #[test]
    fn arrows_are_known_in_both_modes() {
        assert_eq!(keys(b"\x1b[A\x1b[B\x1bOA\x1bOB\x9bA\x8fB"), b"^v^v^v");
        assert_eq!(keys(b"\x1b[D\x1b[C\x1bOD\x1bOC\x9bD\x8fC"), b"<><><>");
    }

    #[test]
    fn home_end_and_delete_are_known_as_terminals_send_them() {
        assert_eq!(keys(b"\x1b[H\x1bOH\x1b[1~\x1b[7~"), b"{{{{");
        assert_eq!(keys(b"\x1b[F\x1bOF\x1b[4~\x1b[8~"), b"}}}}");
        assert_eq!(keys(b"\x1b[3~\x9b3~"), b"##");
    }

    #[test]
    fn text_in_utf_8_begins_no_sequence() {
        // Each has a byte that alone would begin a string or a control sequence.
        assert_eq!(keys("ßП“”\u{5d0}\u{15b}😝a\r".as_bytes()), b"a\r");
    }

    #[test]
    fn a_key_behind_a_lone_escape_or_a_sequence_cut_off_counts() {
        assert_eq!(keys(b"\x1b\rps\r"), b"\rps\r");
        assert_eq!(keys(b"\x1b[1;5\rps\r"), b"\rps\r");
        assert_eq!(keys(b"\xc3ps\r"), b"ps\r");
        assert_eq!(keys(b"\x1b\x1b[Ax"), b"^x");
    }
}
