//! Ends the node with the program that started it, however that ended.
//!
//! The other program keeps the writing end of a pipe that is this process' standard input. The kernel closes it even when
//! that program is killed by `kill -9`, and the end of the file is the word to go. It must never wait for anything: what
//! was acknowledged is safe.

use std::io;

use rustix::process::{Signal, getpid, kill_process};

/// From now on the end of standard input ends the process, as `kill -9` does.
pub fn end_with_stdin() {
    std::thread::spawn(|| {
        // An input that cannot be read has nobody at its other end, either.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        let _ = kill_process(getpid(), Signal::KILL);
    });
}
