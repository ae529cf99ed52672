//! gRPC frames whose bytes are made and read by `wire`.

use std::marker::PhantomData;

use bytes::{Buf, BufMut};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use wire::peer::PeerMessage;

/// Encodes `T` and decodes `U`.
#[derive(Debug)]
pub(crate) struct PeerCodec<T, U>(PhantomData<fn(T) -> U>);

impl<T, U> Default for PeerCodec<T, U> {
    fn default() -> Self {
        PeerCodec(PhantomData)
    }
}

/// See [`PeerCodec`].
#[derive(Debug)]
pub(crate) struct PeerEncoder<T>(PhantomData<fn(T)>);

/// See [`PeerCodec`].
#[derive(Debug)]
pub(crate) struct PeerDecoder<U>(PhantomData<fn() -> U>);

impl<T: PeerMessage, U: PeerMessage> Codec for PeerCodec<T, U> {
    type Encode = T;
    type Decode = U;
    type Encoder = PeerEncoder<T>;
    type Decoder = PeerDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        PeerEncoder(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        PeerDecoder(PhantomData)
    }
}

impl<T: PeerMessage> Encoder for PeerEncoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, item: T, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item.encode());
        Ok(())
    }
}

impl<U: PeerMessage> Decoder for PeerDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining());
        match U::decode(&bytes) {
            Ok(message) => Ok(Some(message)),
            Err(error) => Err(Status::invalid_argument(error.to_string())),
        }
    }
}
