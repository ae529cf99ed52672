//! A request's body made of blocks in memory, so that a part is sent again without having been copied together.
//!
//! Its bytes are not those of one slice, so the client signs it as `UNSIGNED-PAYLOAD` and hashes nothing.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// The blocks that are still to be sent.
struct Blocks {
    left: VecDeque<Bytes>,
    left_bytes: u64,
}

/// A body of these blocks.
pub(super) fn of_blocks(blocks: &[Bytes]) -> ByteStream {
    let blocks = Blocks {
        left: blocks.iter().cloned().collect(),
        left_bytes: blocks.iter().map(|block| block.len() as u64).sum(),
    };
    ByteStream::new(SdkBody::from_body_1_x(blocks))
}

impl Body for Blocks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let block = self.left.pop_front();
        self.left_bytes -= block.as_ref().map_or(0, |block| block.len() as u64);
        Poll::Ready(block.map(|block| Ok(Frame::data(block))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left_bytes)
    }
}
