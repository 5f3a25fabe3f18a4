//! The pictures in doc/ are the ones that are drawn, and the tour is as short as it promises.

use slopos_tree::markdown::Document;
use slopos_tree::{files, layers, tour};

#[test]
fn pictures_are_what_is_drawn() {
    let doc = files::root().join("doc");
    let tour = Document::read(&files::root(), "doc/tour.md".as_ref()).unwrap();
    let mut pictures = vec![("layers.svg".to_owned(), layers::draw())];
    for way in tour::ways(&tour) {
        assert!(tour.text.contains(&format!("({})", way.file)), "{} is not shown in the tour", way.file);
        pictures.push((way.file.clone(), tour::draw(&way).unwrap()));
    }
    for (file, drawn) in pictures {
        let kept = std::fs::read_to_string(doc.join(&file)).unwrap();
        assert!(kept == drawn, "doc/{file} is not what `./just draw` draws");
    }
}

/// Who enters a grant says for what, so that one call or one frame that enters it twice would show.
#[test]
fn each_way_of_the_tour_is_short_and_enters_the_grant_once_for_each_purpose() {
    let tour = Document::read(&files::root(), "doc/tour.md".as_ref()).unwrap();
    let ways = tour::ways(&tour);
    assert_eq!(ways.len(), 3);
    for way in ways {
        assert!(way.stops.len() <= 20, "{}: {} stops", way.heading, way.stops.len());
        let mut purposes: Vec<&str> = way
            .stops
            .iter()
            .filter_map(|stop| stop.text.split_once(tour::ENTERS))
            .map(|(_, purpose)| purpose.split(['.', ',']).next().unwrap_or(purpose))
            .collect();
        assert!(!purposes.is_empty(), "{}", way.heading);
        assert!(purposes.iter().all(|purpose| purpose.starts_with(" for ")), "{}: {purposes:?}", way.heading);
        let entries = purposes.len();
        purposes.sort_unstable();
        purposes.dedup();
        assert_eq!(entries, purposes.len(), "{} enters it twice for one of {purposes:?}", way.heading);
    }
}
