//! The live table: a picture of the nodes, drawn without knowing where it comes from.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Paragraph, Row, Table, TableState};

/// What the rest takes at least: the balancer's box, two messages in theirs, and the keys.
const REST_LINES: u16 = 9;

/// What is drawn.
#[derive(Debug, Clone, Default)]
pub struct Picture {
    /// The line above the table.
    pub title: String,
    /// The nodes.
    pub rows: Vec<NodeRow>,
    /// The chosen row.
    pub chosen: usize,
    /// What the balancer has done.
    pub balancer: BalancerRow,
    /// What has happened, the latest last.
    pub messages: Vec<String>,
}

/// A node.
#[derive(Debug, Clone, Default)]
pub struct NodeRow {
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: &'static str,
    /// Its process, if it runs.
    pub pid: Option<u32>,
    /// Where it serves, if it runs.
    pub address: String,
    /// Whether it leads.
    pub leads: bool,
    /// How it is.
    pub health: String,
    /// Whether that is good.
    pub is_well: bool,
    /// How far its log is.
    pub log_index: Option<u64>,
    /// How many entries it is behind.
    pub lag: Option<u64>,
    /// Requests that it has answered.
    pub requests: u64,
}

/// The balancer, and the client that asks all the time.
#[derive(Debug, Clone, Default)]
pub struct BalancerRow {
    /// Where it serves.
    pub address: String,
    /// Its process, which is this one.
    pub pid: u32,
    /// Requests.
    pub requests: u64,
    /// Requests of the last second.
    pub per_second: u64,
    /// Requests that were sent to a second node.
    pub repeated: u64,
    /// Requests that no node answered.
    pub failed: u64,
    /// What the asking client got as it should, and what not.
    pub pulse: (u64, u64),
    /// Its slowest answer of the last seconds.
    pub slowest: Option<Duration>,
}

/// Draws it.
pub fn draw(frame: &mut Frame, picture: &Picture) {
    let rows = u16::try_from(picture.rows.len()).unwrap_or(u16::MAX);
    let room = frame.area().height.saturating_sub(REST_LINES);
    let [table, balancer, messages, keys] = Layout::vertical([
        Constraint::Length(rows.saturating_add(3).min(room)),
        Constraint::Length(4),
        Constraint::Min(3),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    // With more nodes than lines, the chosen one is among those that are shown.
    let mut state = TableState::default().with_selected(picture.chosen);
    frame.render_stateful_widget(nodes(picture), table, &mut state);
    frame.render_widget(balancer_lines(&picture.balancer), balancer);
    let room = usize::from(messages.height.saturating_sub(2));
    let first = picture.messages.len().saturating_sub(room);
    let lines: Vec<Line> = picture.messages[first..].iter().map(Line::raw).collect();
    frame.render_widget(
        Paragraph::new(lines).block(Block::bordered().title(" what has happened ")),
        messages,
    );
    frame.render_widget(Paragraph::new(key_line()), keys);
}

fn nodes(picture: &Picture) -> Table<'_> {
    let header = [
        "", "name", "role", "pid", "address", "leads", "health", "log", "lag", "requests",
    ];
    let number = |number: Option<u64>| number.map_or("-".to_owned(), |number| number.to_string());
    let rows = picture.rows.iter().enumerate().map(|(index, node)| {
        let health = if node.is_well {
            Color::Green
        } else {
            Color::Red
        };
        Row::new([
            Cell::new((index + 1).to_string()),
            Cell::new(node.name.as_str()),
            Cell::new(node.role),
            Cell::new(number(node.pid.map(u64::from))),
            Cell::new(node.address.as_str()),
            Cell::new(if node.leads { "leader" } else { "" }),
            Cell::new(node.health.as_str()).style(Style::new().fg(health)),
            Cell::new(number(node.log_index)),
            Cell::new(number(node.lag)),
            Cell::new(node.requests.to_string()),
        ])
    });
    let widths = [2, 12, 8, 8, 16, 7, 22, 9, 6, 9].map(Constraint::Length);
    Table::new(rows, widths)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED))
        .header(Row::new(header).style(Style::new().add_modifier(Modifier::BOLD)))
        .block(Block::bordered().title(format!(" {} ", picture.title)))
}

fn balancer_lines(balancer: &BalancerRow) -> Paragraph<'_> {
    let failed = |count: u64, what: &str| {
        let colour = if count == 0 { Color::Green } else { Color::Red };
        Span::styled(format!("{count} {what}"), Style::new().fg(colour))
    };
    let first = Line::from(vec![
        Span::raw(format!(
            "{}: {} requests, {} in the last second, {} sent again to another node, ",
            balancer.address, balancer.requests, balancer.per_second, balancer.repeated
        )),
        failed(balancer.failed, "failed"),
    ]);
    let slowest = balancer.slowest.map_or(String::new(), |slowest| {
        format!(
            ", the slowest of the last 30 s took {} ms",
            slowest.as_millis()
        )
    });
    let (answered, unanswered) = balancer.pulse;
    let second = Line::from(vec![
        Span::raw(format!(
            "a client that asks all the time: {answered} answered, "
        )),
        failed(unanswered, "failed"),
        Span::raw(slowest),
    ]);
    let title = format!(" balancer, process {} ", balancer.pid);
    Paragraph::new(vec![first, second]).block(Block::bordered().title(title))
}

fn key_line() -> Line<'static> {
    Line::raw(" 1-9 ↑ ↓ choose   k kill -9   s start again   q end all")
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    fn drawn(picture: &Picture, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, picture)).unwrap();
        let buffer = terminal.backend().buffer();
        let line = |y| -> String { (0..width).map(|x| buffer[(x, y)].symbol()).collect() };
        let lines: Vec<String> = (0..height).map(|y| line(y).trim_end().to_owned()).collect();
        lines.join("\n")
    }

    fn picture() -> Picture {
        Picture {
            title: "holdfast-up".to_owned(),
            rows: vec![
                NodeRow {
                    name: "member-1".to_owned(),
                    role: "member",
                    pid: Some(4711),
                    address: "127.0.0.1:40001".to_owned(),
                    leads: true,
                    health: "ready".to_owned(),
                    is_well: true,
                    log_index: Some(12_345),
                    lag: Some(0),
                    requests: 99,
                },
                NodeRow {
                    name: "gateway-1".to_owned(),
                    role: "gateway",
                    health: "killed by signal 9".to_owned(),
                    ..NodeRow::default()
                },
            ],
            chosen: 1,
            balancer: BalancerRow {
                address: "127.0.0.1:5000".to_owned(),
                pid: 4710,
                requests: 200,
                per_second: 20,
                repeated: 1,
                failed: 0,
                pulse: (180, 0),
                slowest: Some(Duration::from_millis(212)),
            },
            messages: (1..=9).map(|number| format!("message {number}")).collect(),
        }
    }

    #[test]
    fn table_says_how_the_nodes_are() {
        expect_test::expect![[r#"
            ┌ holdfast-up ─────────────────────────────────────────────────────────────────────────────────────────────────┐
            │   name         role     pid      address          leads   health                 log       lag    requests   │
            │1  member-1     member   4711     127.0.0.1:40001  leader  ready                  12345     0      99         │
            │2  gateway-1    gateway  -                                 killed by signal 9     -         -      0          │
            └──────────────────────────────────────────────────────────────────────────────────────────────────────────────┘
            ┌ balancer, process 4710 ──────────────────────────────────────────────────────────────────────────────────────┐
            │127.0.0.1:5000: 200 requests, 20 in the last second, 1 sent again to another node, 0 failed                   │
            │a client that asks all the time: 180 answered, 0 failed, the slowest of the last 30 s took 212 ms             │
            └──────────────────────────────────────────────────────────────────────────────────────────────────────────────┘
            ┌ what has happened ───────────────────────────────────────────────────────────────────────────────────────────┐
            │message 6                                                                                                     │
            │message 7                                                                                                     │
            │message 8                                                                                                     │
            │message 9                                                                                                     │
            └──────────────────────────────────────────────────────────────────────────────────────────────────────────────┘
             1-9 ↑ ↓ choose   k kill -9   s start again   q end all"#]]
        .assert_eq(&drawn(&picture(), 112, 16));
    }

    #[test]
    fn chosen_node_is_shown_when_there_is_no_room_for_all() {
        let mut picture = picture();
        picture.rows = (1..=40)
            .map(|number| NodeRow {
                name: format!("gateway-{number}"),
                ..NodeRow::default()
            })
            .collect();
        picture.chosen = 39;
        let shown = drawn(&picture, 112, 24);
        assert!(shown.contains("gateway-40"), "{shown}");
        assert!(!shown.contains("gateway-1 "), "{shown}");
        assert!(shown.contains("q end all"), "{shown}");
    }

    #[test]
    fn small_window_is_no_reason_to_panic() {
        for (width, height) in [(1, 1), (3, 40), (200, 2), (20, 8)] {
            drawn(&picture(), width, height);
        }
    }
}
