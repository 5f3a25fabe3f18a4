//! What the documents say is so.

use slopos_tree::markdown::{Document, documents};
use slopos_tree::names::Names;
use slopos_tree::{files, layers, links, shown, tour, words};

#[test]
fn links_lead_somewhere() {
    let root = files::root();
    let documents = documents(&root).unwrap();
    assert!(documents.len() > 30);
    let wrong: Vec<String> = documents.iter().flat_map(|document| links::check(&root, document)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The changelog is left out: it tells of what is no more.
#[test]
fn files_recipes_and_packages_that_are_named_are_there() {
    let root = files::root();
    let names = Names::read(&root).unwrap();
    let documents = documents(&root).unwrap();
    let of_today = documents.iter().filter(|document| !document.path.ends_with("CHANGELOG.md"));
    let wrong: Vec<String> = of_today.flat_map(|document| names.check(document)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Those that need a built board are carried out by the end-to-end tests.
#[test]
fn commands_print_what_documents_show() {
    let root = files::root();
    let mut wrong = String::new();
    for document in documents(&root).unwrap() {
        for block in shown::blocks(&document).unwrap().iter().filter(|block| !block.board) {
            if let Err(error) = block.check(&root) {
                wrong += &format!("{error:#}\n\n");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_readme_is_short() {
    let readme = Document::read(&files::root(), "README.md".as_ref()).unwrap();
    let lines = readme.text.lines().count();
    assert!(lines <= 150, "{lines} lines");
}

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

#[test]
fn each_way_of_the_tour_is_short_and_enters_the_grant_once() {
    let tour = Document::read(&files::root(), "doc/tour.md".as_ref()).unwrap();
    let ways = tour::ways(&tour);
    assert!(ways.len() >= 3);
    for way in ways {
        let enters = way.stops.iter().filter(|stop| stop.text.contains(tour::ENTERS)).count();
        assert!(way.stops.len() <= 20, "{}: {} stops", way.heading, way.stops.len());
        assert_eq!(enters, 1, "{}", way.heading);
    }
}

#[test]
fn the_tree_speaks_of_itself_alone() {
    let found = words::unwanted(&files::root()).unwrap();
    assert!(found.is_empty(), "{}", found.join("\n"));
}
