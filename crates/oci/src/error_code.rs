//! The error codes of the distribution specification, all fourteen and no other.
//!
//! Which code goes with which status is decided in `api`, not here.
//!
//! Spec: distribution-spec 1.1, "Error Codes".

use std::fmt;

/// What the `code` of an OCI error body says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorCode {
    /// code-1: the blob is not known to the registry.
    BlobUnknown,
    /// code-2: the upload, or what was sent to it, is wrong.
    BlobUploadInvalid,
    /// code-3: there is no such upload.
    BlobUploadUnknown,
    /// code-4: the digest is malformed or not that of the content.
    DigestInvalid,
    /// code-5: a manifest names a manifest or blob that the repository may not see.
    ManifestBlobUnknown,
    /// code-6: the manifest is wrong.
    ManifestInvalid,
    /// code-7: there is no such manifest in the repository.
    ManifestUnknown,
    /// code-8: the repository name is outside the grammar.
    NameInvalid,
    /// code-9: there is no such repository.
    NameUnknown,
    /// code-10: the length sent is not the length declared.
    SizeInvalid,
    /// code-11: nobody said who asks.
    Unauthorized,
    /// code-12: who asks may not do that.
    Denied,
    /// code-13: the operation is not supported.
    Unsupported,
    /// code-14: too many requests.
    TooManyRequests,
}

impl ErrorCode {
    /// Every code, in the order of the specification.
    pub const ALL: [ErrorCode; 14] = [
        ErrorCode::BlobUnknown,
        ErrorCode::BlobUploadInvalid,
        ErrorCode::BlobUploadUnknown,
        ErrorCode::DigestInvalid,
        ErrorCode::ManifestBlobUnknown,
        ErrorCode::ManifestInvalid,
        ErrorCode::ManifestUnknown,
        ErrorCode::NameInvalid,
        ErrorCode::NameUnknown,
        ErrorCode::SizeInvalid,
        ErrorCode::Unauthorized,
        ErrorCode::Denied,
        ErrorCode::Unsupported,
        ErrorCode::TooManyRequests,
    ];

    /// The text of the specification.
    pub const fn as_str(self) -> &'static str {
        match self {
            ErrorCode::BlobUnknown => "BLOB_UNKNOWN",
            ErrorCode::BlobUploadInvalid => "BLOB_UPLOAD_INVALID",
            ErrorCode::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            ErrorCode::DigestInvalid => "DIGEST_INVALID",
            ErrorCode::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            ErrorCode::ManifestInvalid => "MANIFEST_INVALID",
            ErrorCode::ManifestUnknown => "MANIFEST_UNKNOWN",
            ErrorCode::NameInvalid => "NAME_INVALID",
            ErrorCode::NameUnknown => "NAME_UNKNOWN",
            ErrorCode::SizeInvalid => "SIZE_INVALID",
            ErrorCode::Unauthorized => "UNAUTHORIZED",
            ErrorCode::Denied => "DENIED",
            ErrorCode::Unsupported => "UNSUPPORTED",
            ErrorCode::TooManyRequests => "TOOMANYREQUESTS",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
