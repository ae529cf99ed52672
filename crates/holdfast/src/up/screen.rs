//! The terminal: taken over while the table is shown, and left as it was however that ends.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc;

use super::table::{self, Picture};

/// How often the thread that waits for keys looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(100);

/// How many keys may wait.
const KEYS_MAX: usize = 64;

/// What somebody at the keyboard or at standard input wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// A node is to be started again.
    Start(String),
    /// A node is to be killed.
    Kill(String),
    /// Something that is no wish.
    Unknown(String),
}

/// A key that means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// The row above.
    Up,
    /// The row below.
    Down,
    /// The row of this number, from 0.
    Row(usize),
    /// Kill the chosen one.
    Kill,
    /// Start the chosen one.
    Start,
    /// End.
    Quit,
    /// The window has another size.
    Resized,
}

/// The terminal, until it is dropped. A panic gives it back, too.
pub struct Screen {
    terminal: DefaultTerminal,
    keys: mpsc::Receiver<Key>,
    is_wanted: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Screen {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// When it is none.
    pub fn open() -> io::Result<Screen> {
        let terminal = ratatui::try_init()?;
        let is_wanted = Arc::new(AtomicBool::new(true));
        let (send, keys) = mpsc::channel(KEYS_MAX);
        let wanted = Arc::clone(&is_wanted);
        let reader = std::thread::spawn(move || read_keys(&send, &wanted));
        Ok(Screen {
            terminal,
            keys,
            is_wanted,
            reader: Some(reader),
        })
    }

    /// The next key. May be dropped and called again.
    pub async fn key(&mut self) -> Key {
        // The keyboard is gone: so is whoever looked.
        self.keys.recv().await.unwrap_or(Key::Quit)
    }

    /// Shows the picture.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn show(&mut self, picture: &Picture) -> io::Result<()> {
        self.terminal
            .draw(|frame| table::draw(frame, picture))
            .map(drop)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.is_wanted.store(false, Ordering::SeqCst);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        ratatui::restore();
    }
}

fn read_keys(send: &mpsc::Sender<Key>, is_wanted: &AtomicBool) {
    while is_wanted.load(Ordering::SeqCst) {
        let read = match event::poll(LOOK) {
            Ok(false) => continue,
            Ok(true) => event::read(),
            Err(error) => Err(error),
        };
        let Ok(event) = read else { return };
        if let Some(key) = meaning(&event)
            && send.blocking_send(key).is_err()
        {
            return;
        }
    }
}

fn meaning(event: &Event) -> Option<Key> {
    let key = match event {
        Event::Resize(..) => return Some(Key::Resized),
        Event::Key(key) if key.kind != KeyEventKind::Release => key,
        _ => return None,
    };
    match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Key::Quit),
        KeyCode::Char('q') | KeyCode::Esc => Some(Key::Quit),
        KeyCode::Up => Some(Key::Up),
        KeyCode::Down => Some(Key::Down),
        KeyCode::Char('k') => Some(Key::Kill),
        KeyCode::Char('s') => Some(Key::Start),
        KeyCode::Char(digit @ '1'..='9') => Some(Key::Row(digit as usize - '1' as usize)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use ratatui::crossterm::event::KeyEvent;

    use super::*;

    #[test]
    fn keys_mean_what_the_last_line_says() {
        let pressed = |code, modifiers| meaning(&Event::Key(KeyEvent::new(code, modifiers)));
        let plain = |code| pressed(code, KeyModifiers::NONE);
        assert_eq!(plain(KeyCode::Char('k')), Some(Key::Kill));
        assert_eq!(plain(KeyCode::Char('s')), Some(Key::Start));
        assert_eq!(plain(KeyCode::Char('3')), Some(Key::Row(2)));
        assert_eq!(plain(KeyCode::Char('c')), None);
        assert_eq!(
            pressed(KeyCode::Char('c'), KeyModifiers::CONTROL),
            Some(Key::Quit)
        );
        assert_eq!(meaning(&Event::Resize(80, 24)), Some(Key::Resized));
    }
}
