//! Which name was meant.

/// Longest name that is compared, in bytes.
const LONGEST: usize = 24;

/// The one of `names` that is nearest to `wrong`, where one is near: at most a third of its letters are others.
pub fn nearest<'n>(wrong: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let (name, distance) = names.map(|name| (name, distance(wrong, name))).min_by_key(|&(_, distance)| distance)?;
    (distance * 3 <= wrong.len().max(name.len())).then_some(name)
}

/// How many letters have to be put in, taken out, replaced, or exchanged with the next one (the optimal string alignment
/// distance: two letters in the wrong order are the commonest slip). Names that are too long are far from all others.
fn distance(one: &str, other: &str) -> usize {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len() > LONGEST || other.len() > LONGEST {
        return usize::MAX / 4;
    }
    // The row of the table for the letters of `one` so far, and the one before it.
    let mut row: [usize; LONGEST + 1] = core::array::from_fn(|at| at);
    let mut last = row;
    for (count, letter) in one.iter().enumerate() {
        let last_but_one = core::mem::replace(&mut last, row);
        row[0] = count + 1;
        for (at, own) in other.iter().enumerate() {
            let replaced = last[at] + usize::from(letter != own);
            row[at + 1] = replaced.min(last[at + 1] + 1).min(row[at] + 1);
            if count > 0 && at > 0 && one[count - 1] == *own && *letter == other[at - 1] {
                row[at + 1] = row[at + 1].min(last_but_one[at - 1] + 1);
            }
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_counted() {
        for (one, other, letters) in [("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("head", "head", 0)] {
            assert_eq!(distance(one, other), letters, "{one} {other}");
        }
    }

    #[test]
    fn only_what_is_near_is_suggested() {
        let names = ["head", "header", "max-time", "retry"];
        let near = |wrong| nearest(wrong, names.iter().copied());
        assert_eq!(near("maxtime"), Some("max-time"));
        assert_eq!(near("headr"), Some("head"));
        assert_eq!(near("retyr"), Some("retry"), "two letters in the wrong order are one slip");
        assert_eq!(near("ratyy"), None, "two of five letters are others");
        assert_eq!(near("rety"), Some("retry"));
        assert_eq!(near("x"), None);
        assert_eq!(near(&"x".repeat(100)), None);
    }
}
