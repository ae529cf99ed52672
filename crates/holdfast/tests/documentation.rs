//! The pages of the documentation lead to each other: every relative link has a target, and every page can be reached.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The root of the source.
fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("the crate lies in the source")
}

/// Every page below `folder`.
fn pages(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of pages") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.append(&mut pages(&path));
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
    found
}

fn all_pages() -> Vec<PathBuf> {
    let root = root();
    let mut all = vec![root.join("README.md"), root.join("CHANGELOG.md")];
    all.append(&mut pages(&root.join("docs")));
    all.append(&mut pages(&root.join("deploy")));
    all
}

/// The targets of the links of a page, without those that lead elsewhere.
fn links(text: &str) -> Vec<String> {
    let mut inside_code = false;
    let prose = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        inside_code ^= fence;
        !fence && !inside_code
    });
    let prose: Vec<&str> = prose.collect();
    let prose = prose.join("\n");
    prose
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|target| !target.contains("://"))
        .map(str::to_owned)
        .collect()
}

/// The names by which the headings of a page can be pointed at.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter_map(|line| line.strip_prefix('#'));
    headings
        .map(|heading| {
            let heading = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = heading
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

#[test]
fn every_relative_link_has_a_target() {
    let mut broken = Vec::new();
    for page in all_pages() {
        let text = fs::read_to_string(&page).expect("a page");
        for link in links(&text) {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() {
                page.clone()
            } else {
                page.parent().expect("a folder").join(file)
            };
            let heading_is_there = || {
                anchor.is_empty()
                    || fs::read_to_string(&target).is_ok_and(|text| anchors(&text).contains(anchor))
            };
            if !target.exists() || !heading_is_there() {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn every_page_can_be_reached_from_the_readme() {
    let mut reached = BTreeSet::new();
    let mut open = vec![root().join("README.md"), root().join("deploy/README.md")];
    while let Some(page) = open.pop() {
        if !reached.insert(page.clone()) {
            continue;
        }
        if page.is_dir() {
            open.append(&mut pages(&page));
            continue;
        }
        if page.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = fs::read_to_string(&page).expect("a page");
        for link in links(&text) {
            let file = link.split('#').next().unwrap_or_default();
            let target = page.parent().expect("a folder").join(file);
            open.extend(target.canonicalize());
        }
    }
    let lost: Vec<PathBuf> = all_pages()
        .into_iter()
        .filter(|page| !reached.contains(page))
        .collect();
    assert_eq!(lost, Vec::<PathBuf>::new());
}

#[test]
fn links_in_code_are_no_links() {
    let text = "[a](b.md#c)\n```sh\n[d](e.md)\n```\nand [f](https://example.com) [g](#h)";
    assert_eq!(links(text), ["b.md#c", "#h"]);
    assert!(anchors("# A `first` walk, again").contains("a-first-walk-again"));
}
