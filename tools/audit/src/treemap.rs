//! Rectangles whose areas are as given, as square as can be (Bruls, Huizing, van Wijk: Squarified Treemaps, 2000).

/// A rectangle; its corner is at the top left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rectangle {
    /// From the left edge.
    pub x: f64,
    /// From the top edge.
    pub y: f64,
    /// Its width.
    pub width: f64,
    /// Its height.
    pub height: f64,
}

impl Rectangle {
    /// The rectangle without a margin on each side and a larger one on top; never smaller than nothing.
    pub fn inside(self, margin: f64, top: f64) -> Rectangle {
        Rectangle {
            x: self.x + margin,
            y: self.y + top,
            width: (self.width - 2.0 * margin).max(0.0),
            height: (self.height - top - margin).max(0.0),
        }
    }
}

/// Divides `whole` among the weights, in their order; those of weight zero get no area.
///
/// The weights should descend: that gives the squarest rectangles.
pub fn divide(weights: &[u64], whole: Rectangle) -> Vec<Rectangle> {
    let total: u64 = weights.iter().sum();
    let mut rectangles = Vec::with_capacity(weights.len());
    if total == 0 {
        rectangles.resize(weights.len(), Rectangle { width: 0.0, height: 0.0, ..whole });
        return rectangles;
    }
    let scale = whole.width * whole.height / total as f64;
    let areas: Vec<f64> = weights.iter().map(|&weight| weight as f64 * scale).collect();
    let mut rest = whole;
    let mut done = 0;
    while done < areas.len() {
        let side = rest.width.min(rest.height);
        let mut count = 1;
        while done + count < areas.len()
            && worst(&areas[done..done + count + 1], side) <= worst(&areas[done..done + count], side)
        {
            count += 1;
        }
        rest = lay(&areas[done..done + count], rest, &mut rectangles);
        done += count;
    }
    rectangles
}

/// The worst ratio of sides in a row along a side of this length.
fn worst(row: &[f64], side: f64) -> f64 {
    let sum: f64 = row.iter().sum();
    if sum <= 0.0 || side <= 0.0 {
        return f64::INFINITY;
    }
    let ratio = |area: f64| {
        let (along, across) = (area * side / sum, sum / side);
        if along <= 0.0 { f64::INFINITY } else { (along / across).max(across / along) }
    };
    row.iter().map(|&area| ratio(area)).fold(0.0, f64::max)
}

/// Lays a row along the shorter side and returns what is left.
fn lay(row: &[f64], rest: Rectangle, rectangles: &mut Vec<Rectangle>) -> Rectangle {
    let sum: f64 = row.iter().sum();
    let upright = rest.width >= rest.height;
    let side = if upright { rest.height } else { rest.width };
    let thickness = if side > 0.0 { sum / side } else { 0.0 };
    let mut at = 0.0;
    for &area in row {
        let length = if thickness > 0.0 { area / thickness } else { 0.0 };
        rectangles.push(if upright {
            Rectangle { x: rest.x, y: rest.y + at, width: thickness, height: length }
        } else {
            Rectangle { x: rest.x + at, y: rest.y, width: length, height: thickness }
        });
        at += length;
    }
    if upright {
        Rectangle { x: rest.x + thickness, width: (rest.width - thickness).max(0.0), ..rest }
    } else {
        Rectangle { y: rest.y + thickness, height: (rest.height - thickness).max(0.0), ..rest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: Rectangle = Rectangle { x: 10.0, y: 20.0, width: 600.0, height: 400.0 };

    #[test]
    fn areas_are_as_the_weights_and_fill_the_whole_without_overlap() {
        for weights in [&[6, 6, 4, 3, 2, 2, 1][..], &[1], &[1000, 1, 1], &[5, 5], &[100, 0, 0]] {
            let total: u64 = weights.iter().sum();
            let rectangles = divide(weights, WHOLE);
            assert_eq!(rectangles.len(), weights.len());
            for (&weight, found) in weights.iter().zip(&rectangles) {
                let area = WHOLE.width * WHOLE.height * weight as f64 / total as f64;
                assert!((found.width * found.height - area).abs() < 1e-6, "{weight} of {weights:?}: {found:?}");
                assert!(found.x >= 10.0 - 1e-9 && found.x + found.width <= 610.0 + 1e-6, "{found:?}");
                assert!(found.y >= 20.0 - 1e-9 && found.y + found.height <= 420.0 + 1e-6, "{found:?}");
            }
            for (index, one) in rectangles.iter().enumerate() {
                for other in &rectangles[index + 1..] {
                    let across = (one.x + one.width).min(other.x + other.width) - one.x.max(other.x);
                    let down = (one.y + one.height).min(other.y + other.height) - one.y.max(other.y);
                    assert!(across <= 1e-6 || down <= 1e-6, "{one:?} and {other:?} overlap");
                }
            }
        }
    }

    #[test]
    fn rectangles_are_nearly_square() {
        for found in divide(&[6, 6, 4, 3, 2, 2, 1], WHOLE) {
            let ratio = (found.width / found.height).max(found.height / found.width);
            assert!(ratio < 3.0, "{found:?}");
        }
    }

    #[test]
    fn nothing_gets_nothing() {
        assert!(divide(&[], WHOLE).is_empty());
        assert_eq!(divide(&[0, 0], WHOLE)[1].width, 0.0);
    }
}
