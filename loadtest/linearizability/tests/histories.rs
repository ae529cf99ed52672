//! Histories that must be accepted and histories that must be rejected, as text that people can read.

use linearizability::notation::{self, Words};
use linearizability::{Model, Operation, STEPS_MAX, Verdict, check, tag, upload};

/// The sections of a file: a name and a history each.
fn sections<I: Words, O: Words>(text: &str) -> Vec<(String, Vec<Operation<I, O>>)> {
    let mut sections = text.split("\n== ");
    sections.next();
    let read = |section: &str| {
        let (name, history) = section.split_once('\n').unwrap_or((section, ""));
        let parsed = notation::parse(history);
        (
            name.to_owned(),
            parsed.unwrap_or_else(|error| panic!("{name}: {error}")),
        )
    };
    sections.map(read).collect()
}

type Histories<M> = Vec<(
    String,
    Vec<Operation<<M as Model>::Input, <M as Model>::Output>>,
)>;

fn accepted<M: Model>(
    histories: &Histories<M>,
    model: impl Fn(&[Operation<M::Input, M::Output>]) -> M,
) {
    for (name, history) in histories {
        match check(&model(history), history, STEPS_MAX) {
            Verdict::Linearizable => {}
            Verdict::NotLinearizable(why) => panic!("rejected: {name}\n{why}"),
            Verdict::Undecided { steps, .. } => panic!("undecided after {steps} steps: {name}"),
        }
    }
}

fn rejected<M: Model>(
    histories: &Histories<M>,
    model: impl Fn(&[Operation<M::Input, M::Output>]) -> M,
) {
    for (name, history) in histories {
        let Verdict::NotLinearizable(why) = check(&model(history), history, STEPS_MAX) else {
            panic!("not rejected: {name}");
        };
        assert!(
            why.operations <= history.len() && !why.timeline.is_empty(),
            "{name}"
        );
    }
}

#[test]
fn what_one_tag_could_have_answered_is_accepted() {
    let histories = sections(include_str!("histories/tag-accepted.txt"));
    assert!(histories.len() >= 20, "{}", histories.len());
    accepted(&histories, tag::Tag::of);
}

#[test]
fn what_no_tag_could_have_answered_is_rejected() {
    let histories = sections(include_str!("histories/tag-rejected.txt"));
    assert!(histories.len() >= 20, "{}", histories.len());
    rejected(&histories, tag::Tag::of);
}

#[test]
fn what_one_upload_could_have_answered_is_accepted() {
    let histories = sections(include_str!("histories/upload-accepted.txt"));
    accepted(&histories, |_| upload::Upload);
}

#[test]
fn what_no_upload_could_have_answered_is_rejected() {
    let histories = sections(include_str!("histories/upload-rejected.txt"));
    rejected(&histories, |_| upload::Upload);
}

#[test]
fn counter_example_is_the_shortest_prefix_and_can_be_read_back() {
    let text = "a  [--]                  push 1 -> done\n\
                b      [--]              push 2 -> done\n\
                c           [--]         read -> 1\n\
                d                [--]    read -> 2\n";
    let history: Vec<Operation<tag::Input, tag::Output>> = notation::parse(text).unwrap();
    let Verdict::NotLinearizable(why) = check(&tag::Tag::of(&history), &history, STEPS_MAX) else {
        panic!("accepted");
    };
    assert_eq!((why.operations, why.left_out), (3, 0));
    assert_eq!(why.unexplained, "c: read -> 1");
    assert_eq!(why.possible_states, ["2"]);
    let expected = "a []      push 1 -> done\n\
                    b   []    push 2 -> done\n\
                    c     []  read -> 1\n";
    assert_eq!(why.timeline, expected);
    let again: Vec<Operation<tag::Input, tag::Output>> = notation::parse(&why.timeline).unwrap();
    assert!(matches!(
        check(&tag::Tag::of(&again), &again, STEPS_MAX),
        Verdict::NotLinearizable(_)
    ));
}

#[test]
fn search_that_takes_too_long_is_undecided() {
    let mut text = String::new();
    for number in 0..24 {
        text += &format!(
            "a{number} {}[------------------------------?  push {number}\n",
            " ".repeat(number % 7)
        );
    }
    text += "b                                                  [--] read -> 99\n";
    let history: Vec<Operation<tag::Input, tag::Output>> = notation::parse(&text).unwrap();
    let verdict = check(&tag::Tag::of(&history), &history, 1);
    assert!(
        matches!(verdict, Verdict::Undecided { operations: 25, .. }),
        "{verdict:?}"
    );
    assert!(matches!(
        check(&tag::Tag::of(&history), &history, STEPS_MAX),
        Verdict::NotLinearizable(_)
    ));
}
